//! Docker-archives, the format of `docker save`.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::archive::{Found, Index};
use super::choice::Choice;
use super::codec::Codec;
use super::document::{self, Broken};
use super::{Archive, Base, BaseError, BaseLayer};
use formats::digest::Digest;

/// Reads the manifest and config of an image in the archive: of the first one, unless `choice`
/// names another.
pub(super) fn open(
    path: &Path,
    codec: Codec,
    index: &Index,
    choice: &Choice<'_>,
) -> Result<Base, BaseError> {
    let documents = Documents { path, codec, index };
    let manifest = documents.json("manifest.json")?.0;
    let image = choose(path, &manifest, choice)?;
    let broken = Broken(path);
    let config_name = broken.string(&image["Config"], "manifest.json's Config")?;
    let (config, text) = documents.json(config_name)?;
    let names = broken.strings(&image["Layers"], "manifest.json's Layers")?;
    let diff_ids = document::diff_ids(&broken, &config, names.len())?;
    let archive = Archive::new(path, codec);
    let layer = |(name, diff_id): (&str, Digest)| {
        let Found { member, codec } = documents.layer(name)?;
        let (archive, member) = (Arc::clone(&archive), Arc::clone(member));
        Ok(BaseLayer { archive, diff_id, member, blob: None, codec: *codec })
    };
    let layers = names.into_iter().zip(diff_ids).map(layer).collect::<Result<_, _>>()?;
    let names = image["RepoTags"].as_array().into_iter().flatten();
    Ok(Base {
        layers,
        env: document::env(&broken, &config)?,
        config: text,
        names: names.filter_map(Value::as_str).map(str::to_owned).collect(),
        is_layout: false,
    })
}

/// The manifest entry of the chosen image.
fn choose<'a>(
    path: &Path,
    manifest: &'a Value,
    choice: &Choice<'_>,
) -> Result<&'a Value, BaseError> {
    let Some(wanted) = choice.name else { return Ok(manifest.get(0).unwrap_or(&Value::Null)) };
    let images = manifest.as_array().map_or(&[][..], Vec::as_slice);
    let names = |image: &'a Value| {
        let names = image["RepoTags"].as_array().into_iter().flatten();
        names.filter_map(Value::as_str)
    };
    choice.find(images, |image| names(image).collect()).map_err(|found| BaseError::Name {
        path: path.to_owned(),
        wanted: wanted.to_owned(),
        found,
    })
}

/// Reads the archive's JSON members.
struct Documents<'a> {
    path: &'a Path,
    codec: Codec,
    index: &'a Index,
}

impl Documents<'_> {
    fn layer(&self, name: &str) -> Result<&Found, BaseError> {
        let found = self.file(name)?;
        if !found.member.has_finite_time() {
            return Err(self.member(name, "has a time that is not a finite number"));
        }
        Ok(found)
    }

    fn file(&self, name: &str) -> Result<&Found, BaseError> {
        let broken = |problem| self.member(name, problem);
        let found = self.index.find(name.as_bytes());
        let found = found.ok_or_else(|| broken("is named by the manifest, but missing"))?;
        match found.member.typeflag {
            _ if found.member.is_file() => Ok(found),
            b'1' | b'2' => Err(broken(
                "is a link to another layer, as old versions of Docker wrote it; load the \
                 image into a current Docker and save it again",
            )),
            _ if found.member.is_sparse => Err(broken(
                "is stored as a file with holes; write the archive again without them, as tar \
                 does without --sparse and bsdtar with --no-read-sparse",
            )),
            _ => Err(broken("is not a file")),
        }
    }

    /// The document's relevant parts, and its bytes.
    fn json(&self, name: &str) -> Result<(Value, Vec<u8>), BaseError> {
        let member = &self.file(name)?.member;
        let text = self.index.content(member, self.path, self.codec);
        let text = text.map_err(|source| BaseError::Read { path: self.path.to_owned(), source })?;
        Ok((document::parse_named(&text, self.path, name)?, text.into_owned()))
    }

    fn member(&self, name: &str, problem: &'static str) -> BaseError {
        BaseError::Member { path: self.path.to_owned(), member: name.into(), problem }
    }
}
