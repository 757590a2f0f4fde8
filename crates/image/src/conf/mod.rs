//! The conf: the JSON file that describes an image, as written by nixpkgs' `streamLayeredImage`.
//!
//! Two generations are supported: the current one, and the first one, which had fewer keys. A
//! missing key gets the default of its generation.

mod docker_config;
mod fields;
mod layer_options;
mod nar_hash;
mod program;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use crate::bounded;
use crate::layer::Ownership;
use fields::Fields;
use formats::python::time::{DateTime, TimeError};
pub use layer_options::LayerOptions;
pub(crate) use nar_hash::canonical as canonical_nar_hash;
pub use program::Form;

/// The store's directory if a conf does not name one.
pub(crate) const STORE_DIR: &str = "/nix/store";

/// A conf: the JSON file, written by `dockerTools.streamLayeredImage` and this project's Nix
/// functions, that describes one image.
///
/// Only the conf itself is checked. Missing files are noticed when an [`Image`](crate::Image) is
/// made of it.
///
/// # Examples
///
/// ```
/// # mod nix_image { pub use nix_image_image::conf::Conf; }
/// use nix_image::Conf;
///
/// let conf = Conf::from_json(serde_json::json!({
///     "architecture": "arm64",
///     "config": { "Cmd": ["/bin/hello"] },
///     "created": "1970-01-01T00:00:01+00:00",
///     "customisation_layer": "/nix/store/cccccccccccccccccccccccccccccccc-customisation-layer",
///     "from_image": null,
///     "repo_tag": "hello:1",
///     "store_layers": [["/nix/store/hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hello"]],
/// }))?;
/// assert_eq!(conf.repo_tag.as_deref(), Some("hello:1"));
/// assert_eq!(conf.ownership.uname, "root");
/// # Ok::<(), nix_image_image::conf::ConfError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conf {
    /// The image's architecture, by Go's name: `amd64`, `arm64`.
    pub architecture: String,
    /// How to run the image: the `config` key of its config, an object or null. With a base image,
    /// its `Env`, if present, is a list of strings.
    pub config: Value,
    /// The store's directory; `/nix/store` by default.
    pub store_dir: String,
    /// The path of the base image, or `None`: a docker-archive, an OCI archive or layout, a conf,
    /// or the program that streams its image. `PATH#NAME` chooses one of several images.
    pub from_image: Option<String>,
    /// The store paths of each layer, lowest layer first.
    pub store_layers: Vec<Vec<String>>,
    /// What some of the store layers contain in addition to store paths, in the layers' order.
    #[doc(hidden)]
    pub layer_options: Vec<LayerOptions>,
    /// The store path with the content of the image's root directory.
    pub customisation_layer: String,
    /// The image's name and tag. Without them, another name must be given to
    /// [`Image::open`](crate::Image::open).
    pub repo_tag: Option<String>,
    /// The image's creation time, from the key `created`.
    pub created: DateTime,
    /// The owner and time of the entries in store layers; by default root and `created`.
    pub ownership: Ownership,
    /// The known NAR hashes of store paths, in the format of Nix's database: `sha256:` and 64
    /// hexadecimal digits.
    pub nar_hashes: HashMap<String, String>,
    /// The known references of store paths. A path without references has an empty list.
    pub references: HashMap<String, Vec<String>>,
    /// Warnings about the conf, one sentence each.
    pub warnings: Vec<String>,
}

/// Why a conf cannot be used.
#[derive(Debug, Error)]
pub enum ConfError {
    /// The file cannot be read.
    #[error("cannot read the conf `{}`", path.display())]
    Read {
        /// The conf.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is a script, but not an image's program.
    #[error(
        "`{}` is a script, but not the program that `streamLayeredImage` makes: its last `exec` \
         names no conf",
        .0.display()
    )]
    Script(PathBuf),
    /// It is not JSON.
    #[error("the conf `{}` is not valid JSON", path.display())]
    Json {
        /// The conf.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A string in it has half of a surrogate pair, which Python accepts and UTF-8 cannot encode.
    #[error(
        "the conf `{}` has half of a surrogate pair, such as a lone \\ud800, {location}; \
         write the character itself or both halves",
        path.display()
    )]
    Surrogate {
        /// The conf.
        path: PathBuf,
        /// The line and column of the end of it.
        location: String,
    },
    /// Its content is invalid.
    #[error("the conf `{}` cannot be used", path.display())]
    Content {
        /// The conf.
        path: PathBuf,
        /// Why.
        source: Box<ConfError>,
    },
    /// It is JSON, but not an object.
    #[error("the conf must be an object, but it is {0}")]
    NotAnObject(String),
    /// A required key is missing.
    #[error("the conf has no `{0}`; is it the conf of an image?")]
    Missing(&'static str),
    /// A value has the wrong type.
    #[error("`{key}` must be {expected}, but it is {found}")]
    Type {
        /// The key.
        key: String,
        /// The expected type.
        expected: &'static str,
        /// The type and value found.
        found: String,
    },
    /// An unknown key in the options of a layer.
    #[error("unknown key `{key}`; the known keys are {known}")]
    Unknown {
        /// The key.
        key: String,
        /// The known keys.
        known: &'static str,
    },
    /// A value is not a regular expression.
    #[error("`{key}` must be a regular expression, but it is `{value}`")]
    Regex {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        source: Box<regex::Error>,
    },
    /// A value is not a mode.
    #[error("`{key}` must be a mode in octal digits such as \"0755\", but it is `{value}`")]
    Mode {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Options for a layer that does not exist, or that has options already.
    #[error(
        "`{key}` must be the number of one of the {layers} store layers, counted from 0, in ascending order, but it is {value}"
    )]
    Layer {
        /// The key.
        key: String,
        /// The number of store layers.
        layers: usize,
        /// The value.
        value: String,
    },
    /// A value is not a date.
    #[error(
        "`{key}` must be \"now\" or a date such as 1970-01-01T00:00:01+00:00, but it is `{value}`"
    )]
    Date {
        /// `created` or `mtime`.
        key: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        source: TimeError,
    },
    /// A value is not a number.
    #[error("`{key}` must be a whole number such as \"1000\", but it is `{value}`")]
    Number {
        /// `uid` or `gid`.
        key: &'static str,
        /// The value.
        value: String,
    },
}

impl Conf {
    /// Reads a conf file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not JSON, and the errors of [`Self::from_json`].
    pub fn load(path: &Path) -> Result<Self, ConfError> {
        let text = bounded::read_file(path)
            .map_err(|source| ConfError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Reads a conf from a file's content. `path` is for error messages.
    #[doc(hidden)]
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ConfError> {
        let value = serde_json::from_slice(text).map_err(|source| json_error(path, source))?;
        Self::from_json(value)
            .map_err(|source| ConfError::Content { path: path.to_owned(), source: source.into() })
    }

    /// Reads a conf from its JSON. Unknown keys cause warnings.
    ///
    /// # Errors
    ///
    /// If a required key is missing, or a value has the wrong type or is not a valid date or
    /// number.
    pub fn from_json(value: Value) -> Result<Self, ConfError> {
        let mut fields = Fields::new(value)?;
        let now = DateTime::now_utc();
        let created = fields.date("created", &now)?.ok_or(ConfError::Missing("created"))?;
        let mtime = fields.date("mtime", &now)?;
        let config = fields.take("config").ok_or(ConfError::Missing("config"))?;
        let warnings = docker_config::warnings(&config);
        let mut conf = Self {
            architecture: fields.require("architecture", Fields::string)?,
            config,
            store_dir: fields.string("store_dir")?.unwrap_or_else(|| STORE_DIR.into()),
            from_image: fields.string_or_null("from_image")?,
            store_layers: fields.require("store_layers", Fields::lists_of_strings)?,
            layer_options: Vec::new(),
            customisation_layer: fields.require("customisation_layer", Fields::string)?,
            repo_tag: fields.string("repo_tag")?,
            ownership: Ownership {
                mtime: mtime.as_ref().unwrap_or(&created).timestamp(),
                uid: fields.number("uid")?.unwrap_or(0),
                gid: fields.number("gid")?.unwrap_or(0),
                uname: fields.string("uname")?.unwrap_or_else(|| "root".into()),
                gname: fields.string("gname")?.unwrap_or_else(|| "root".into()),
            },
            created,
            nar_hashes: HashMap::new(),
            references: fields.map_of_lists("references")?.unwrap_or_default(),
            warnings,
        };
        if let Some(options) = fields.take("layer_options") {
            conf.layer_options = LayerOptions::parse(options, conf.store_layers.len())?;
        }
        if conf.from_image.is_some() {
            docker_config::check_for_base(&conf.config)?;
        }
        for (path, hash) in fields.map_of_strings("nar_hashes")?.unwrap_or_default() {
            match nar_hash::canonical(&hash) {
                Some(hash) => drop(conf.nar_hashes.insert(path, hash)),
                None => conf.warnings.push(format!(
                    "the NAR hash `{hash}` of `{path}` is not a SHA-256, so it has no effect"
                )),
            }
        }
        // The image's OS is always linux, whatever the conf says.
        fields.string("os")?;
        conf.warnings.extend(fields.unknown());
        Ok(conf)
    }
}

fn json_error(path: &Path, source: serde_json::Error) -> ConfError {
    let path = path.to_owned();
    // Part of both of the library's messages about a lone surrogate, neither of which says so.
    if source.to_string().contains("hex escape") {
        let location = format!("at line {} column {}", source.line(), source.column());
        return ConfError::Surrogate { path, location };
    }
    ConfError::Json { path, source }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn original() -> Value {
        json!({
            "architecture": "amd64", "config": {}, "os": "linux", "repo_tag": "a:1",
            "created": "1970-01-01T00:00:01Z", "store_layers": [], "customisation_layer": "/nix/store/a-b",
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut conf = original();
        conf[key] = value;
        conf
    }

    #[test]
    fn absent_keys_take_the_defaults_of_their_time() {
        let conf = Conf::from_json(original()).unwrap();
        assert_eq!(conf.store_dir, "/nix/store");
        let root = Ownership {
            mtime: 1,
            uname: "root".into(),
            gname: "root".into(),
            ..Ownership::default()
        };
        assert_eq!(conf.ownership, root);
        assert_eq!(conf.from_image, None);
        assert!(conf.warnings.is_empty());
    }

    #[test]
    fn numbers_are_read_as_pythons_int_reads_them() {
        for (value, number) in
            [(json!("1000"), 1000), (json!(" -7\n"), -7), (json!("1_0"), 10), (json!(5), 5)]
        {
            assert_eq!(Conf::from_json(with("uid", value)).unwrap().ownership.uid, number);
        }
        for value in [
            json!("x"),
            json!(""),
            json!("0x1"),
            json!("_1"),
            json!("1__0"),
            json!(1.5),
            json!(true),
        ] {
            let error = Conf::from_json(with("uid", value.clone())).unwrap_err().to_string();
            assert!(error.contains("`uid`"), "{value}: {error}");
        }
    }

    #[test]
    fn wrong_values_are_named_with_what_they_should_be() {
        let cases = [
            (json!([]), "the conf must be an object, but it is a list"),
            (
                with("architecture", json!(1)),
                "`architecture` must be a string, but it is a number (1)",
            ),
            (
                with("store_layers", json!(["/nix/store/a-b"])),
                "`store_layers[0]` must be a list of strings, but it is a string (\"/nix/store/a-b\")",
            ),
            (
                with("store_layers", json!([[null]])),
                "`store_layers[0][0]` must be a string, but it is null",
            ),
            (with("created", json!("yesterday")), "`created` must be \"now\" or a date"),
            (with("mtime", json!("2024-13-01")), "`mtime` must be \"now\" or a date"),
            (with("nar_hashes", json!([])), "`nar_hashes` must be an object"),
            (with("references", json!({"/a": "/b"})), "`references./a` must be a list of strings"),
        ];
        for (conf, message) in cases {
            let error = Conf::from_json(conf.clone()).unwrap_err().to_string();
            assert!(error.contains(message), "{conf}\n{error}");
        }
        let mut conf = original();
        conf.as_object_mut().unwrap().remove("store_layers");
        assert!(Conf::from_json(conf).unwrap_err().to_string().contains("no `store_layers`"));
    }

    #[test]
    fn a_config_that_engines_refuse_is_kept_with_a_warning() {
        let cases = [
            (
                json!({"Cmd": "sh"}),
                "`config.Cmd` should be a list of strings, but it is a string (\"sh\"); docker treats it",
            ),
            (
                json!({"Env": [1]}),
                "`config.Env[0]` should be a string, but it is a number (1); engines reject",
            ),
            (json!({"Labels": {"a": 1}}), "`config.Labels.a` should be a string"),
            (json!({"ExposedPorts": ["80"]}), "`config.ExposedPorts` should be an object"),
            (json!({"User": 1000}), "`config.User` should be a string"),
            (json!(["sh"]), "`config` should be an object, but it is a list"),
        ];
        for (config, message) in cases {
            let conf = Conf::from_json(with("config", config.clone())).unwrap();
            assert_eq!(conf.config, config);
            assert_eq!(conf.warnings.len(), 1, "{config}: {:?}", conf.warnings);
            assert!(conf.warnings[0].contains(message), "{config}\n{:?}", conf.warnings);
        }
        for config in [json!(null), json!({}), json!({"Cmd": ["sh"], "Env": null})] {
            assert!(Conf::from_json(with("config", config)).unwrap().warnings.is_empty());
        }
    }

    #[test]
    fn on_a_base_image_the_config_must_have_a_place_for_its_variables() {
        for (config, message) in [
            (json!("sh"), "`config` must be an object, but it is a string"),
            (json!({"Env": "A=1"}), "`config.Env` must be a list of strings, but it is a string"),
            (json!({"Env": ["A=1", 2]}), "`config.Env[1]` must be a string, but it is a number"),
        ] {
            let mut conf = with("config", config.clone());
            conf["from_image"] = json!("/nix/store/a-base");
            let error = Conf::from_json(conf).unwrap_err().to_string();
            assert!(error.contains(message), "{config}\n{error}");
        }
    }

    #[test]
    fn unknown_keys_are_let_through_with_a_warning() {
        let conf = Conf::from_json(with("base_layers", json!(1))).unwrap();
        assert_eq!(conf.warnings.len(), 1);
        assert!(conf.warnings[0].contains("`base_layers`"));
    }
}
