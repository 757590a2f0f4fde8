//! The parsed sources of the project's crates: what a module contains, and where a name in it comes
//! from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::{Attribute, Ident, Item, UseTree, Visibility};

/// The crates by their names in the code, with their locations. Each may use those before it.
pub(crate) const CRATES: [(&str, &str); 9] = [
    ("formats", "crates/formats/src"),
    ("planner", "crates/planner/src"),
    ("contents", "crates/contents/src"),
    ("oci", "crates/oci/src"),
    ("containerd", "crates/containerd/src"),
    ("containers_storage", "crates/containers-storage/src"),
    ("image", "crates/image/src"),
    ("delivery", "crates/delivery/src"),
    ("program", "src"),
];

/// No name is reexported this often; more hops mean a cycle.
const MAX_HOPS: usize = 16;

/// A file of the project.
pub(crate) fn project_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// All modules of all crates except tests, by path, such as `delivery::push`.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) modules: BTreeMap<String, Vec<Item>>,
}

/// What a path refers to.
#[derive(Clone)]
pub(crate) enum Found<'a> {
    Module(String),
    Item(Definition<'a>),
}

/// An item, and the module that contains it.
#[derive(Clone)]
pub(crate) struct Definition<'a> {
    pub(crate) module: String,
    pub(crate) item: &'a Item,
}

/// A name that a `use` imports, or `*`, and its path.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
}

impl Sources {
    pub(crate) fn read() -> Self {
        let mut sources = Self::default();
        for (name, folder) in CRATES {
            let folder = project_file(folder);
            sources.add_file(name, &folder.join("lib.rs"), &folder);
        }
        sources
    }

    fn add_file(&mut self, module: &str, file: &Path, folder: &Path) {
        self.add(module, parse(file).1.items, folder);
    }

    /// Adds a module whose submodules are in this folder.
    fn add(&mut self, module: &str, items: Vec<Item>, folder: &Path) {
        let mut kept = Vec::new();
        for item in items.into_iter().filter(|item| !is_test(attributes(item))) {
            let Item::Mod(inner) = &item else {
                kept.push(item);
                continue;
            };
            let (path, name) = (format!("{module}::{}", inner.ident), inner.ident.to_string());
            if let Some((_, items)) = &inner.content {
                self.add(&path, items.clone(), &folder.join(&name));
            } else {
                let file = folder.join(&name).with_extension("rs");
                let folder = folder.join(&name);
                let file = if file.exists() { file } else { folder.join("mod.rs") };
                self.add_file(&path, &file, &folder);
            }
            kept.push(item);
        }
        self.modules.insert(module.to_owned(), kept);
    }

    /// What a path refers to in a module, if it is from these crates.
    pub(crate) fn resolve(&self, module: &str, path: &[String]) -> Option<Found<'_>> {
        self.resolve_within(MAX_HOPS, module, path)
    }

    fn resolve_within(&self, hops: usize, module: &str, path: &[String]) -> Option<Found<'_>> {
        let (first, rest) = path.split_first()?;
        let hops = hops.checked_sub(1)?;
        let root = module.split("::").next()?;
        let first = match &**first {
            "crate" => Found::Module(root.to_owned()),
            "self" => Found::Module(module.to_owned()),
            "super" => Found::Module(module.rsplit_once("::")?.0.to_owned()),
            name => self.lookup(hops, module, name).or_else(|| {
                self.modules.contains_key(name).then(|| Found::Module(name.to_owned()))
            })?,
        };
        rest.iter().try_fold(first, |found, name| match (found, &**name) {
            (found, "self") => Some(found),
            (Found::Module(module), "super") => {
                Some(Found::Module(module.rsplit_once("::")?.0.to_owned()))
            }
            (Found::Module(module), name) => self.lookup(hops, &module, name),
            (Found::Item(_), _) => None,
        })
    }

    /// The item of a module with this name.
    fn lookup(&self, hops: usize, module: &str, name: &str) -> Option<Found<'_>> {
        let items = self.modules.get(module)?;
        if let Some(item) = items.iter().find(|item| ident(item).is_some_and(|own| own == name)) {
            return Some(match item {
                Item::Mod(_) => Found::Module(format!("{module}::{name}")),
                item => Found::Item(Definition { module: module.to_owned(), item }),
            });
        }
        imports(items).into_iter().find_map(|import| match &*import.name {
            "*" => match self.resolve_within(hops, module, &import.path)? {
                Found::Module(module) => self.lookup(hops.checked_sub(1)?, &module, name),
                Found::Item(_) => None,
            },
            imported if imported == name => self.resolve_within(hops, module, &import.path),
            _ => None,
        })
    }
}

impl Definition<'_> {
    pub(crate) fn is(&self, other: &Definition<'_>) -> bool {
        std::ptr::eq(self.item, other.item)
    }
}

/// A file's text, and its syntax tree.
pub(crate) fn parse(file: &Path) -> (String, syn::File) {
    let text = fs::read_to_string(file).unwrap();
    let parsed = syn::parse_file(&text);
    let parsed = parsed.unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
    (text, parsed)
}

/// The names that a module's items import.
pub(crate) fn imports(items: &[Item]) -> Vec<Import> {
    let mut found = Vec::new();
    for item in items {
        if let Item::Use(item) = item {
            flatten(&item.tree, &mut Vec::new(), &mut found);
        }
    }
    found
}

/// The names of one `use`.
pub(crate) fn flatten(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<Import>) {
    let mut add = |last: Option<&Ident>, name: String| {
        let path = path.iter().cloned().chain(last.map(ToString::to_string)).collect();
        found.push(Import { name, path });
    };
    match tree {
        UseTree::Name(name) if name.ident == "self" => add(None, path.last().unwrap().clone()),
        UseTree::Name(name) => add(Some(&name.ident), name.ident.to_string()),
        UseTree::Rename(name) => add(Some(&name.ident), name.rename.to_string()),
        UseTree::Glob(_) => add(None, "*".into()),
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            flatten(&inner.tree, path, found);
            path.pop();
        }
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, path, found));
        }
    }
}

/// An item's name, if it has one.
pub(crate) fn ident(item: &Item) -> Option<&Ident> {
    Some(match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    })
}

pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => panic!("tests/support/sources.rs does not know this item: {}", text(item)),
    }
}

pub(crate) fn visibility(item: &Item) -> &Visibility {
    match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Mod(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Use(item) => &item.vis,
        _ => &Visibility::Inherited,
    }
}

pub(crate) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether something is compiled only for tests.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).map(text).any(|cfg| {
        let test = matches!(&*cfg, "#[cfg(test)]" | "#[cfg(doctest)]");
        let test = test || cfg.starts_with("#[cfg(all(test, ");
        assert!(test || !cfg.contains("test"), "tests/support/sources.rs does not know `{cfg}`");
        test
    })
}

/// The source text of something, on one line.
pub(crate) fn text(part: &impl Spanned) -> String {
    let text = part.span().source_text().expect("what was parsed in this thread has a text");
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Undoes what rustfmt adds when it breaks a line.
    line.replace("( ", "(").replace(", )", ")").replace(" )", ")").replace(", >", ">")
}
