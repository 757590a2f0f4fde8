//! Assigns the paths of a closure to layers.
//!
//! An image can have few layers and a closure has many paths, so paths share layers. Which paths
//! share one decides how much two images have in common. Over the years nixpkgs has used three
//! layouts, which are reproduced here with the same paths in the same order:
//!
//! - [`auto`]: the current default, which gives the largest paths a layer each;
//! - [`popularity`]: the older default, which gives the most popular paths a layer each;
//! - [`pipeline`]: steps written by the image's author.
//!
//! Two others move less when an image is updated:
//!
//! - [`ordered`]: the layers of [`auto`], with those that seldom change at the bottom;
//! - [`delta`]: the layers of the previous image where possible.
//!
//! [`explicit`] layers are specified by the author; the others are made of the remaining paths.
//!
//! [`simulate`] computes how much each layout would have moved over a [`series`] of images.
//!
//! Everything here takes and returns values; reading files is up to the caller.

pub mod auto;
pub mod churn;
pub mod clusters;
pub mod compare;
pub mod cpython;
pub mod delta;
pub mod edges;
pub mod explicit;
pub mod graph;
pub mod ordered;
pub mod own;
pub mod pipeline;
pub mod popularity;
pub mod series;
pub mod sets;
pub mod simulate;

use serde_json::Value;

/// The layers of an image, lowest first, each a non-empty list of store paths.
pub type Layers = Vec<Vec<String>>;

/// Describes an unexpected value in a JSON document.
fn describe(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(value)) => format!("the boolean {value}"),
        Some(Value::Number(number)) => format!("the number {number}"),
        Some(Value::String(text)) => format!("the string `{text}`"),
        Some(Value::Array(list)) => format!("a list of {}", list.len()),
        Some(Value::Object(_)) => "an object".to_owned(),
    }
}
