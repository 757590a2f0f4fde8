//! Parses a pipeline and checks its steps, so that a misspelt step fails before any work is done.

use serde_json::Value;

use super::super::describe;
use super::{Action, PathSpec, Pipeline, PipelineError, Place, Step};

impl Pipeline {
    /// Parses and checks a pipeline in JSON.
    pub fn parse(json: &[u8]) -> Result<Self, PipelineError> {
        let value: Value = serde_json::from_slice(json).map_err(PipelineError::Json)?;
        parse_steps(&Place::default(), &value).map(Self)
    }
}

fn parse_steps(place: &Place, value: &Value) -> Result<Vec<Step>, PipelineError> {
    let Value::Array(steps) = value else {
        return Err(PipelineError::Shape {
            place: place.clone(),
            expected: "a list of steps",
            found: describe(Some(value)),
        });
    };
    let steps = steps.iter().enumerate();
    steps.map(|(index, step)| parse_step(place.step(index + 1), step)).collect()
}

fn parse_step(place: Place, value: &Value) -> Result<Step, PipelineError> {
    let list = value.as_array().map(Vec::as_slice);
    let Some([Value::String(name), arguments @ ..]) = list else {
        return Err(PipelineError::Shape {
            place,
            expected: "a list of a step's name and its arguments",
            found: describe(Some(value)),
        });
    };
    let wrong = |usage| PipelineError::Arguments {
        place: place.clone(),
        name: name.clone(),
        found: match arguments {
            [] => "no argument".to_owned(),
            [argument] => format!("{} as its argument", describe(Some(argument))),
            more => format!("{} arguments", more.len()),
        },
        usage,
    };
    let action = match (name.as_str(), arguments) {
        ("flatten", []) => Action::Flatten,
        ("flatten", _) => return Err(wrong("[\"flatten\"]")),
        ("popularity_contest", []) => Action::PopularityContest,
        ("popularity_contest", _) => return Err(wrong("[\"popularity_contest\"]")),
        ("reverse", []) => Action::Reverse,
        ("reverse", _) => return Err(wrong("[\"reverse\"]")),
        ("map", [step]) => Action::Map(Box::new(parse_step(place.step(1), step)?)),
        ("map", _) => return Err(wrong("[\"map\", STEP]")),
        ("over", [Value::String(key), step]) => {
            Action::Over(key.clone(), Box::new(parse_step(place.step(1), step)?))
        }
        ("over", _) => return Err(wrong("[\"over\", \"main\" | \"common\" | \"rest\", STEP]")),
        ("pipe", [steps]) => Action::Pipe(parse_steps(&place, steps)?),
        ("pipe", _) => return Err(wrong("[\"pipe\", [STEP, ...]]")),
        (name, arguments) => match parse_selection(name, arguments) {
            Some(Ok(action)) => action,
            Some(Err(usage)) => return Err(wrong(usage)),
            None => return Err(PipelineError::Name { place, name: name.to_owned() }),
        },
    };
    Ok(Step { place, action })
}

/// Parses the steps that take a number or paths. Returns the step, its syntax if the arguments are
/// wrong, or `None` for an unknown step.
fn parse_selection(name: &str, arguments: &[Value]) -> Option<Result<Action, &'static str>> {
    let one = match arguments {
        [argument] => Some(argument),
        _ => None,
    };
    let count = || one?.as_u64().and_then(|count| usize::try_from(count).ok()).filter(|&n| n > 0);
    Some(match name {
        "limit_layers" => count()
            .map(Action::LimitLayers)
            .ok_or("[\"limit_layers\", NUMBER], with a whole number from 1"),
        "split_every" => count()
            .map(Action::SplitEvery)
            .ok_or("[\"split_every\", NUMBER], with a whole number from 1"),
        "remove_paths" => one
            .and_then(path_or_paths)
            .map(Action::RemovePaths)
            .ok_or("[\"remove_paths\", PATH] or [\"remove_paths\", [PATH, ...]]"),
        "split_paths" => one
            .and_then(path_specs)
            .map(Action::SplitPaths)
            .ok_or("[\"split_paths\", [PATH or {\"children_of\": PATH or [PATH, ...]}, ...]]"),
        "subcomponent_in" => one
            .and_then(paths)
            .map(Action::SubcomponentIn)
            .ok_or("[\"subcomponent_in\", [PATH, ...]]"),
        "subcomponent_out" => one
            .and_then(paths)
            .map(Action::SubcomponentOut)
            .ok_or("[\"subcomponent_out\", [PATH, ...]]"),
        _ => return None,
    })
}

fn paths(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|path| path.as_str().map(str::to_owned)).collect()
}

fn path_or_paths(value: &Value) -> Option<Vec<String>> {
    value.as_str().map_or_else(|| paths(value), |path| Some(vec![path.to_owned()]))
}

fn path_specs(value: &Value) -> Option<Vec<PathSpec>> {
    let spec = |value: &Value| match value {
        Value::String(path) => Some(PathSpec::Path(path.clone())),
        other => path_or_paths(other.get("children_of")?).map(PathSpec::ChildrenOf),
    };
    value.as_array()?.iter().map(spec).collect()
}

#[cfg(test)]
mod tests {
    use super::super::NAMES;
    use super::*;

    #[test]
    fn reads_every_step() {
        let json = r#"[
            ["flatten"], ["limit_layers", 3], ["map", ["reverse"]], ["over", "main", ["flatten"]],
            ["pipe", [["popularity_contest"]]], ["popularity_contest"],
            ["remove_paths", "/a"], ["remove_paths", ["/a"]], ["reverse"], ["split_every", 2],
            ["split_paths", ["/a", {"children_of": "/b"}, {"children_of": ["/b"]}]],
            ["subcomponent_in", ["/a"]], ["subcomponent_out", []]
        ]"#;
        let Pipeline(steps) = Pipeline::parse(json.as_bytes()).unwrap();
        let mut names: Vec<_> = steps.iter().map(|step| step.action.name()).collect();
        names.dedup();
        assert_eq!(names, NAMES);
    }

    #[test]
    fn says_which_step_is_wrong_and_how_it_is_written() {
        let cases = [
            ("[", "is not JSON"),
            ("{}", "the whole of the layering pipeline is an object; expected a list of steps"),
            (r#"[["flatten"], "reverse"]"#, "step 2 of the layering pipeline is the string"),
            ("[[]]", "step 1 of the layering pipeline is a list of 0"),
            (r#"[["shuffle"]]"#, "step 1 of the layering pipeline is `shuffle`, not one of"),
            (r#"[["reverse", 1]]"#, "`reverse`, has the number 1 as its argument; write it as"),
            (r#"[["limit_layers"]]"#, "`limit_layers`, has no argument"),
            (r#"[["limit_layers", 0]]"#, "a whole number from 1"),
            (r#"[["split_every", -1]]"#, "a whole number from 1"),
            (r#"[["split_every", 1, 2]]"#, "has 2 arguments"),
            (r#"[["pipe", [["flatten"], ["map"]]]]"#, "step 1.2 of the layering pipeline, `map`"),
            (r#"[["over", "main", ["x"]]]"#, "step 1.1 of the layering pipeline is `x`"),
            (r#"[["over", "main"]]"#, "has the string `main` as its argument"),
            (r#"[["split_paths", "/a"]]"#, r#"write it as ["split_paths", [PATH or"#),
            (r#"[["split_paths", [{"parents_of": "/a"}]]]"#, "children_of"),
            (r#"[["subcomponent_in", "/a"]]"#, r#"["subcomponent_in", [PATH, ...]]"#),
            (r#"[["remove_paths", [1]]]"#, r#"or ["remove_paths", [PATH, ...]]"#),
        ];
        for (json, expected) in cases {
            let error = Pipeline::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let json = format!("{}{}", r#"["map","#.repeat(10_000), "]".repeat(10_000));
        assert!(matches!(Pipeline::parse(json.as_bytes()), Err(PipelineError::Json(_))));
    }
}
