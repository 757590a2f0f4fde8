//! Puts the paths of a closure into layers.
//!
//! An image has room for few layers and a closure has many paths, so paths share layers. Which
//! paths share one decides how much two images have in common. nixpkgs has used three layouts
//! over the years, and each is reproduced here, path for path and in its order:
//!
//! - [`auto`]: today's default, which gives the largest paths a layer each;
//! - [`popularity`]: the older default, which gives the most needed paths a layer each;
//! - [`pipeline`]: the steps that the image's author wrote down.
//!
//! Two more move less when an image replaces another one:
//!
//! - [`ordered`]: auto's layers, those that seldom change at the bottom;
//! - [`delta`]: the layers of the image before, as far as they are still right.
//!
//! [`explicit`] layers are those that the author has put together; the others are made of the rest.
//!
//! [`simulate`] says how much each would have moved over a [`series`] of images.
//!
//! Everything here takes values and returns values; reading files is the caller's business.

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

/// The layers of an image, lowest first, each a list of store paths. None of them is empty.
pub type Layers = Vec<Vec<String>>;

/// Says in words what stands in a JSON document where something else was expected.
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
