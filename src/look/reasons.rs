//! Why paths are in an image, and what they refer to.

use contents::{Closure, Contents};
use serde_json::{Value, json};

use super::layout::tree;
use super::{bytes, few, name_of};
use crate::report::count;

/// The shortest way to a path, and what would leave the image with it.
pub(crate) fn why(contents: &Contents, closure: &Closure<'_>, path: usize) -> String {
    let chain = closure.shortest_chain(path);
    // Only the next path of the chain is shown as a branch.
    let next = |at: usize| {
        let place = chain.iter().position(|&path| path == at);
        place.and_then(|place| chain.get(place + 1)).copied().into_iter().collect()
    };
    let chain_text = tree(&chain[..1], contents.paths.len(), next, |path| {
        format!("{} ({})", name_of(contents, path), bytes(contents.paths[path].size))
    });
    let leaving = closure.leaving(path);
    let users = closure.users(path);
    let needed = if users.is_empty() {
        "needed by no other path: it was added to the image directly\n".to_owned()
    } else {
        let paths = count(users.len(), "path");
        format!("needed by {paths}: {}\n", few(contents, users, 5))
    };
    format!(
        "{chain_text}\n{needed}{} with everything it refers to\n{} would leave the image with it, \
         in {}: {}\n",
        bytes(closure.size(path)),
        bytes(closure.leaving_size(path)),
        count(leaving.len(), "path"),
        few(contents, &leaving, 5),
    )
}

/// Everything that needs a path, as a tree from the path up.
pub(crate) fn users(contents: &Contents, closure: &Closure<'_>, path: usize) -> String {
    let nodes = contents.paths.len();
    tree(
        &[path],
        nodes,
        |path| closure.users(path).to_vec(),
        |path| format!("{} ({})", name_of(contents, path), bytes(contents.paths[path].size)),
    )
}

/// The same as JSON. `chain` runs from a root of the image to the path, and `all_users` has
/// everything that needs it, directly or not.
pub(crate) fn why_json(contents: &Contents, closure: &Closure<'_>, path: usize) -> Value {
    let named = |places: &[usize]| -> Vec<&str> {
        places.iter().map(|&place| contents.paths[place].path.as_str()).collect()
    };
    json!({
        "what": "explained",
        "path": contents.paths[path].path,
        "size": contents.paths[path].size,
        "closure_size": closure.size(path),
        "chain": named(&closure.shortest_chain(path)),
        "needed_by": named(closure.users(path)),
        "all_users": named(&closure.all_users(path)),
        "would_leave": {
            "bytes": closure.leaving_size(path),
            "paths": named(&closure.leaving(path)),
        },
    })
}

/// What paths refer to, directly or not. `None` starts at the paths that nothing refers to.
pub(crate) fn references(
    contents: &Contents,
    closure: &Closure<'_>,
    path: Option<usize>,
) -> String {
    let roots = path.map_or_else(|| closure.roots().to_vec(), |path| vec![path]);
    let largest_first = |path: usize| {
        let mut uses: Vec<_> =
            closure.uses(path).iter().map(|&to| (closure.size(to), to)).collect();
        uses.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        uses.into_iter().map(|(_, to)| to).collect()
    };
    tree(&roots, contents.paths.len(), largest_first, |path| {
        format!(
            "{} ({}, closure {})",
            name_of(contents, path),
            bytes(contents.paths[path].size),
            bytes(closure.size(path))
        )
    })
}

/// The path and everything below it, or all paths, each with its references, as JSON.
pub(crate) fn references_json(
    contents: &Contents,
    closure: &Closure<'_>,
    path: Option<usize>,
) -> Value {
    let named = |place: &usize| contents.paths[*place].path.as_str();
    let shown = match path {
        Some(path) => closure.all_uses(path),
        None => (0..contents.paths.len()).collect(),
    };
    let row = |path: usize| {
        json!({
            "path": contents.paths[path].path,
            "size": contents.paths[path].size,
            "closure_size": closure.size(path),
            "layer": contents.paths[path].layer + 1,
            "references": closure.uses(path).iter().map(named).collect::<Vec<_>>(),
        })
    };
    json!({ "what": "listed", "paths": shown.into_iter().map(row).collect::<Vec<_>>() })
}
