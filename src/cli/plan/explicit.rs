//! The layers that a graph file defines explicitly, and the files that it copies into the image's
//! root.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use anyhow::Context as _;
use serde_json::{Value, json};

use planner::Layers;
use planner::explicit::{self, Wanted};
use planner::graph::{self, Node};

/// The keys of a graph file other than `graph`. Any of them may be absent.
#[derive(Debug, Default)]
pub(super) struct Explicit {
    /// The explicit layers, lowest first, below the planned ones.
    wanted: Vec<Wanted>,
    /// The key of each one's closure in the same file.
    pub(super) keys: Vec<String>,
    /// The modes and owners of each.
    perms: Vec<Value>,
    /// What is copied into the root, in a layer above the planned ones.
    copied: Vec<String>,
    copied_perms: Value,
}

impl Explicit {
    /// Reads `layers`, a list of objects with the keys `graph` (the key of the layer's closure),
    /// `deps`, `copyToRoot` and `perms`; and `copyToRoot` and `perms` of the image itself.
    pub(super) fn parse(json: &[u8]) -> anyhow::Result<Self> {
        let document: Value = serde_json::from_slice(json).context("expected JSON")?;
        let mut found = Self {
            copied: strings(&document, "copyToRoot")?,
            copied_perms: list(&document, "perms")?.into(),
            ..Self::default()
        };
        for (number, layer) in list(&document, "layers")?.into_iter().enumerate() {
            let of_layer = || format!("in item {number} of `layers`");
            let key = layer.get("graph").and_then(Value::as_str).unwrap_or_default();
            let nodes = document.get(key).context("expected `graph` to be the key of a list");
            found.wanted.push(Wanted {
                closure: graph::nodes(nodes.with_context(of_layer)?).with_context(of_layer)?,
                kept: strings(&layer, "deps").with_context(of_layer)?,
                copied: strings(&layer, "copyToRoot").with_context(of_layer)?,
            });
            found.perms.push(list(&layer, "perms").with_context(of_layer)?.into());
            found.keys.push(key.to_owned());
        }
        Ok(found)
    }

    /// The paths of these layers' closures.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.wanted.iter().flat_map(|layer| &layer.closure)
    }

    /// The layers that are not left to the planner, lowest first. Some may be empty.
    pub(super) fn layers(&self) -> Layers {
        explicit::layers(&self.wanted)
    }

    /// What these layers leave to the planner.
    pub(super) fn rest(mut nodes: Vec<Node>, layers: &Layers) -> Vec<Node> {
        let below: BTreeSet<_> = layers.iter().flatten().collect();
        nodes.retain(|node| !below.contains(&node.path));
        for node in &mut nodes {
            node.references.retain(|path| !below.contains(path));
        }
        nodes
    }

    /// The paths left to the planner that are only copied into the root, and in no layer as store
    /// paths.
    pub(super) fn copied_alone(&self, nodes: &[Node]) -> BTreeSet<String> {
        explicit::copied_alone(nodes, &self.copied)
    }

    /// How many layers are left for the planner.
    pub(super) fn left(&self, limit: NonZeroUsize) -> anyhow::Result<NonZeroUsize> {
        let used = self.wanted.len() + usize::from(!self.copied.is_empty());
        limit.get().checked_sub(used).and_then(NonZeroUsize::new).with_context(|| {
            format!(
                "the image defines {used} layers, which leaves none of {limit} for the contents; \
                 raise maxLayers to at least {}, since extraCommands and the like take one, too",
                used + 2
            )
        })
    }

    /// All layers, including the planned ones, and the conf's `layer_options`.
    pub(super) fn with(&self, mut layers: Layers, planned: Layers) -> (Layers, Value) {
        let options = |layer: usize, copied: &[String], perms: &Value| json!({ "layer": layer, "copy_to_root": copied, "perms": perms });
        let mut all = Vec::new();
        for (layer, (wanted, perms)) in self.wanted.iter().zip(&self.perms).enumerate() {
            if !wanted.copied.is_empty() || *perms != json!([]) {
                all.push(options(layer, &wanted.copied, perms));
            }
        }
        layers.extend(planned);
        if !self.copied.is_empty() {
            all.push(options(layers.len(), &self.copied, &self.copied_perms));
            layers.push(Vec::new());
        }
        (layers, all.into())
    }

    /// All paths in these layers, including those copied into the root.
    pub(super) fn paths<'a>(&'a self, layers: &'a Layers) -> impl Iterator<Item = &'a String> {
        let copied = self.wanted.iter().flat_map(|wanted| &wanted.copied).chain(&self.copied);
        layers.iter().flatten().chain(copied)
    }
}

fn list(document: &Value, key: &str) -> anyhow::Result<Vec<Value>> {
    match document.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.clone()),
        Some(_) => anyhow::bail!("expected `{key}` to be a list"),
    }
}

fn strings(document: &Value, key: &str) -> anyhow::Result<Vec<String>> {
    let text = |item: &Value| item.as_str().map(str::to_owned);
    let texts = list(document, key)?.iter().map(text).collect::<Option<_>>();
    texts.with_context(|| format!("expected `{key}` to be a list of store paths"))
}
