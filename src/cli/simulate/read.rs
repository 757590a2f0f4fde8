//! The files that `nix-image simulate` reads.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use image::bounded;
use planner::series::{self, Contents, Image, Series};

/// The magic number of zstd.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The series of all files, each with the name of its file. Files with one image each form one
/// series, in the given order.
pub(super) fn all(files: &[PathBuf]) -> anyhow::Result<Vec<(String, Series)>> {
    let mut all = Vec::new();
    let mut images = Vec::new();
    for file in files {
        let contents = read(file).with_context(|| format!("reading {}", file.display()))?;
        let label = name(file);
        match contents {
            Contents::Series(series) => {
                all.extend(series.into_iter().map(|series| (label.clone(), series)));
            }
            Contents::Image(nodes) => images.push(Image { label, nodes }),
        }
    }
    if let [only] = &*images {
        bail!(
            "`{}` is one image, but an update takes two; name the file of the next one as well",
            only.label
        );
    }
    if let [first, .., last] = &*images {
        let name = format!("{} to {}", first.label, last.label);
        all.push((name, Series { kind: String::new(), images }));
    }
    Ok(all)
}

fn read(file: &Path) -> anyhow::Result<Contents> {
    let mut bytes = bounded::read_file(file)?;
    if bytes.starts_with(&ZSTD) {
        bytes = bounded::read_document(zstd::Decoder::new(&*bytes)?)?;
    }
    Ok(series::parse(&bytes)?)
}

/// The file's name without the suffixes of its format.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let name = name.strip_suffix(".zst").unwrap_or(&name);
    name.strip_suffix(".json").unwrap_or(name).to_owned()
}
