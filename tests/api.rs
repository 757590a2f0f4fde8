//! The library's interface: whatever src/lib.rs exports, as recorded in tests/api.txt.
//!
//! `SNAPSHOTS=overwrite cargo test --test integration -- api::` updates it.

use std::collections::BTreeSet;

use snapbox::{Assert, Data};
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, TraitItem, Type};

use crate::support::sources::{
    Definition, Found, Import, Sources, attributes, flatten, ident, is_public, text, visibility,
};
use crate::support::test_file;

/// Attributes that users depend on.
const KEPT: [&str; 4] = ["cfg", "derive", "must_use", "non_exhaustive"];

#[test]
fn the_interface_is_the_recorded_one() {
    let sources = Sources::read();
    let interface = Interface::of(&sources);
    let lines: BTreeSet<String> =
        interface.exports.iter().flat_map(|export| interface.lines(export)).collect();
    let now: String = lines.into_iter().map(|line| line + "\n").collect();
    let recorded = Data::read_from(&test_file("api.txt"), Some(snapbox::data::DataFormat::Text));
    Assert::new().action_env("SNAPSHOTS").eq(now, recorded.raw());
}

/// What src/lib.rs exports.
struct Interface<'a> {
    sources: &'a Sources,
    exports: Vec<Export<'a>>,
}

/// One name.
struct Export<'a> {
    name: String,
    /// The conditions under which it is exported.
    conditions: String,
    definition: Definition<'a>,
}

impl<'a> Interface<'a> {
    fn of(sources: &'a Sources) -> Self {
        let mut exports = Vec::new();
        for item in &sources.modules["program"] {
            if !is_public(visibility(item)) || is_hidden(attributes(item)) {
                continue;
            }
            let conditions = kept(attributes(item));
            match item {
                Item::Use(import) => {
                    let mut imports = Vec::new();
                    flatten(&import.tree, &mut Vec::new(), &mut imports);
                    let export = |Import { name, path }| {
                        let Some(Found::Item(definition)) = sources.resolve("program", &path)
                        else {
                            panic!("src/lib.rs exports {path:?}, which is not a single item");
                        };
                        Export { name, conditions: conditions.clone(), definition }
                    };
                    exports.extend(imports.into_iter().map(export));
                }
                Item::Mod(_) => panic!("src/lib.rs exports the module `{}`", text(item)),
                item => {
                    let definition = Definition { module: "program".into(), item };
                    let name = ident(item).unwrap().to_string();
                    exports.push(Export { name, conditions: String::new(), definition });
                }
            }
        }
        Self { sources, exports }
    }

    fn lines(&self, export: &Export<'_>) -> Vec<String> {
        let mut lines = of_item(export.definition.item);
        for (module, items) in &self.sources.modules {
            for item in items {
                match item {
                    Item::Impl(item) if self.belongs(export, module, item) => {
                        lines.extend(self.of_impl(module, item));
                    }
                    // A macro call may create implementations.
                    Item::Macro(call)
                        if call.ident.is_none() && *module == export.definition.module =>
                    {
                        lines.push(text(call));
                    }
                    _ => {}
                }
            }
        }
        let Export { name, conditions, .. } = export;
        lines.into_iter().map(|line| format!("{name}: {conditions}{line}")).collect()
    }

    /// Whether an implementation is listed with this export: one for it or, if it is a trait, one
    /// for a foreign type.
    fn belongs(&self, export: &Export<'_>, module: &str, item: &ItemImpl) -> bool {
        if is_hidden(&item.attrs) {
            return false;
        }
        match self.definition(module, &item.self_ty) {
            Some(definition) => definition.is(&export.definition),
            None => item.trait_.as_ref().is_some_and(|implemented| {
                let found = self.sources.resolve(module, &segments(&implemented.0));
                matches!(found, Some(Found::Item(found)) if found.is(&export.definition))
            }),
        }
    }

    /// The struct, enum or trait that a type names, if it is from these crates.
    fn definition(&self, module: &str, of: &Type) -> Option<Definition<'a>> {
        let Type::Path(path) = of else { return None };
        match self.sources.resolve(module, &segments(&path.path))? {
            Found::Item(definition) => Some(definition),
            Found::Module(_) => None,
        }
    }

    fn of_impl(&self, module: &str, item: &ItemImpl) -> Vec<String> {
        let head = format!("{}{}", kept(&item.attrs), head_of_impl(item));
        let inner: Vec<String> = item.items.iter().filter_map(of_impl_item(item)).collect();
        let lines = inner.into_iter().map(|line| format!("{head} {{ {line} }}"));
        match &item.trait_ {
            None => lines.collect(),
            Some(implemented) => {
                let found = self.sources.resolve(module, &segments(&implemented.0));
                let private = |found: &Definition<'_>| !is_public(visibility(found.item));
                if matches!(&found, Some(Found::Item(found)) if private(found)) {
                    return Vec::new();
                }
                lines.chain([head.clone()]).collect()
            }
        }
    }
}

/// A method, constant or type of an implementation, if users see it.
fn of_impl_item(of: &ItemImpl) -> impl Fn(&ImplItem) -> Option<String> {
    let of_trait = of.trait_.is_some();
    move |item| {
        let (attributes, visibility, text) = match item {
            // A trait's items are listed with the trait.
            ImplItem::Fn(_) | ImplItem::Const(_) if of_trait => return None,
            ImplItem::Fn(item) => (&item.attrs, &item.vis, text(&item.sig)),
            ImplItem::Const(item) => {
                (&item.attrs, &item.vis, format!("const {}: {}", item.ident, text(&item.ty)))
            }
            ImplItem::Type(item) => {
                return Some(format!("type {} = {}", item.ident, text(&item.ty)));
            }
            _ => panic!("tests/api.rs does not know this item: {}", text(item)),
        };
        let seen = is_public(visibility) && !is_hidden(attributes);
        seen.then(|| format!("{}pub {text}", kept(attributes)))
    }
}

/// An implementation, up to its brace.
fn head_of_impl(item: &ItemImpl) -> String {
    let generics = generics(&item.generics);
    let of = match &item.trait_ {
        Some((implemented, _)) => format!("{} for ", text(implemented)),
        None => String::new(),
    };
    format!("impl{generics} {of}{}{}", text(&item.self_ty), bounds(&item.generics))
}

/// An item by itself, and its fields, variants or methods.
fn of_item(item: &Item) -> Vec<String> {
    let head = |kind: &str, own: &syn::Generics, rest: &str| {
        let name = ident(item).unwrap();
        let attributes = kept(attributes(item));
        format!("{attributes}pub {kind} {name}{}{rest}{}", generics(own), bounds(own))
    };
    match item {
        Item::Struct(item) => {
            let private = item.fields.iter().any(|field| !is_public(&field.vis));
            let rest = if private { " { .. }" } else { "" };
            let fields = item.fields.iter().enumerate();
            let public = fields.filter(|(_, field)| is_public(&field.vis));
            let public = public.filter(|(_, field)| !is_hidden(&field.attrs));
            let field = |(number, field): (usize, &syn::Field)| {
                let name = field.ident.as_ref().map_or(number.to_string(), ToString::to_string);
                format!("{}pub {name}: {}", kept(&field.attrs), text(&field.ty))
            };
            let mut lines = vec![head("struct", &item.generics, rest)];
            lines.extend(public.map(field));
            lines
        }
        Item::Enum(item) => {
            let variant = |variant: &syn::Variant| {
                let fields = fields(&variant.fields);
                format!("{}{}{fields}", kept(&variant.attrs), variant.ident)
            };
            let mut lines = vec![head("enum", &item.generics, "")];
            lines.extend(item.variants.iter().map(variant));
            lines
        }
        Item::Trait(item) => {
            let parents: Vec<_> = item.supertraits.iter().map(text).collect();
            let parents = if parents.is_empty() {
                String::new()
            } else {
                ": ".to_owned() + &parents.join(" + ")
            };
            let mut lines = vec![head("trait", &item.generics, &parents)];
            lines.extend(item.items.iter().filter_map(of_trait_item));
            lines
        }
        Item::Fn(item) => vec![format!("{}pub {}", kept(&item.attrs), text(&item.sig))],
        Item::Const(item) => {
            let (ty, value) = (text(&item.ty), text(&item.expr));
            vec![format!("{}pub const {}: {ty} = {value}", kept(&item.attrs), item.ident)]
        }
        Item::Type(item) => {
            let (generics, ty) = (generics(&item.generics), text(&item.ty));
            vec![format!("{}pub type {}{generics} = {ty}", kept(&item.attrs), item.ident)]
        }
        _ => panic!("tests/api.rs does not know this item: {}", text(item)),
    }
}

fn of_trait_item(item: &TraitItem) -> Option<String> {
    match item {
        TraitItem::Fn(item) if is_hidden(&item.attrs) => None,
        TraitItem::Fn(item) => {
            let end = if item.default.is_some() { " { .. }" } else { ";" };
            Some(format!("{}{}{end}", kept(&item.attrs), text(&item.sig)))
        }
        _ => panic!("tests/api.rs does not know this item: {}", text(item)),
    }
}

/// A variant's fields.
fn fields(fields: &Fields) -> String {
    let types = fields.iter().map(|field| match &field.ident {
        Some(name) => format!("{name}: {}", text(&field.ty)),
        None => text(&field.ty),
    });
    let types = types.collect::<Vec<_>>().join(", ");
    match fields {
        Fields::Named(_) => format!(" {{ {types} }}"),
        Fields::Unnamed(_) => format!("({types})"),
        Fields::Unit => String::new(),
    }
}

fn generics(generics: &syn::Generics) -> String {
    if generics.params.is_empty() { String::new() } else { format!("<{}>", text(&generics.params)) }
}

fn bounds(generics: &syn::Generics) -> String {
    generics.where_clause.as_ref().map_or_else(String::new, |bounds| format!(" {}", text(bounds)))
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// The attributes of an item that users depend on, each followed by a space.
fn kept(attributes: &[Attribute]) -> String {
    let kept = attributes
        .iter()
        .filter(|attribute| KEPT.iter().any(|name| attribute.path().is_ident(name)));
    kept.map(|attribute| text(attribute) + " ").collect()
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| text(attribute) == "#[doc(hidden)]")
}
