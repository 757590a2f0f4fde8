//! The operands of `nix-image push`: which ones are confs, and which are names to push to.

use std::path::Path;

use anyhow::bail;

use oci::{Reference, ReferenceError, without_user};

/// Calls `load` with each conf.
pub(super) fn confs<T>(
    first: &str,
    further: &[String],
    load: impl Fn(&Path) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let first = (first, "the conf comes first: push CONF REFERENCE");
    let further = further.iter().map(|conf| (conf.as_str(), "--platform-conf takes a conf"));
    let each = |(conf, remedy): (&str, &str)| {
        if is_like_reference(conf) {
            let shown = without_user(conf).unwrap_or_else(|| conf.to_owned());
            bail!("`{shown}` looks like a reference, and no such file exists; {remedy}");
        }
        load(conf.as_ref())
    };
    [first].into_iter().chain(further).map(each).collect()
}

/// Parses the given names. One of several may be a mistyped conf, or one meant for another
/// platform; the error then says which option to use.
pub(super) fn references(operands: &[String]) -> anyhow::Result<Vec<Reference>> {
    if let Some(conf) = operands.iter().find(|operand| is_like_conf(operand)) {
        bail!(
            "`{conf}` looks like a conf, but all operands after the first are references; for \
             another platform use --platform-conf {conf}"
        );
    }
    if let [_, _, ..] = operands
        && let Some(bare) = operands.iter().find(|operand| is_bare(operand))
    {
        bail!(
            "`{bare}` has neither a registry nor a tag, but needs one when there are other \
             references; if it is a conf for another platform, use --platform-conf {bare}"
        );
    }
    targets(operands)
}

/// The names to push to, each once.
pub(super) fn targets<T: AsRef<str>>(
    operands: impl IntoIterator<Item = T>,
) -> anyhow::Result<Vec<Reference>> {
    let mut targets = Vec::new();
    for operand in operands {
        let target = target(operand.as_ref())?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Ok(targets)
}

/// Parses a reference, with or without skopeo's `docker://` prefix.
pub(super) fn reference(operand: &str) -> Result<Reference, ReferenceError> {
    let bare = operand.strip_prefix("docker://").unwrap_or(operand);
    Ok(Reference::parse(bare)?.resolved())
}

/// Parses a name to push to. A digest is rejected: the registry would store the manifest under it
/// and leave the tag as it was.
fn target(operand: &str) -> anyhow::Result<Reference> {
    let reference = reference(operand)?;
    if reference.digest.is_some() {
        bail!("`{operand}` has a digest, which follows from the image; push to a tag");
    }
    Ok(reference)
}

/// Whether an operand in the place of a reference is a conf. Add the registry to push to a name
/// that is also a file.
fn is_like_conf(operand: &str) -> bool {
    Path::new(operand).is_file() || has_json_suffix(operand) && without_user(operand).is_none()
}

/// Whether an operand in the place of a conf is a name with a registry or a tag, and not a file.
fn is_like_reference(operand: &str) -> bool {
    let has_user = || !operand.starts_with(['/', '.']) && without_user(operand).is_some();
    let has_registry = || Reference::of_image(operand).is_ok_and(|name| name.registry.is_some());
    let is_name = || reference(operand).is_ok() && (operand.contains(':') || has_registry());
    !Path::new(operand).exists() && (has_user() || !has_json_suffix(operand) && is_name())
}

/// Whether a name has neither a registry nor a tag, like a file name.
fn is_bare(operand: &str) -> bool {
    !operand.contains(':') && Reference::of_image(operand).is_ok_and(|name| name.registry.is_none())
}

/// Whether a name is that of a JSON file. A tag may also end in `.json`.
fn has_json_suffix(operand: &str) -> bool {
    let suffix = Path::new(operand).extension();
    let has_tag = || operand.rsplit_once(':').is_some_and(|(_, tag)| !tag.contains('/'));
    suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("json")) && !has_tag()
}
