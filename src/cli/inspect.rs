//! `nix-image inspect`.

use serde_json::{Value, json};

use super::image_args::ImageArgs;
use super::stdout;
use crate::report::{self, Mode, Style};
use delivery::{Observer as _, Step};
use formats::digest::Digest;

/// Show an image as JSON: its ID, its configuration, and what each layer is made of
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries a JSON object.

Examples:
  # Show all of an image
  nix-image inspect ./result

  # Print its ID
  nix-image inspect ./result | jq -r .Id

  # List the layers by size
  nix-image inspect ./result | jq '.Layers | sort_by(.Size)'

  # Read the conf from standard input
  nix-image inspect - < conf.json")]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        stdout::check()?;
        let image = self.image.image()?;
        let report = report::new(mode, Style::READ);
        report.step(Step::Reading, None);
        image.warnings().iter().for_each(|warning| report.warn(warning));
        let reading = &self.image.reading;
        let cache = reading.cache();
        let layers = reading.digester(&image, &cache, &report).digest_all()?;
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
        let config_text = image.config_json(&diff_ids);
        let config: Value = serde_json::from_str(&config_text)?;
        let shown = image.layers().iter().zip(&layers).map(|(layer, digest)| {
            json!({
                "DiffID": digest.digest.to_string(),
                "Size": digest.size,
                "Paths": layer.origins(),
            })
        });
        let document = json!({
            "RepoTag": image.repo_tag(),
            "Id": Digest::of(config_text.as_bytes()).to_string(),
            "Created": config["created"],
            "Architecture": config["architecture"],
            "Os": config["os"],
            "Config": config["config"],
            "Size": layers.iter().map(|layer| layer.size).sum::<u64>(),
            "Layers": shown.collect::<Vec<_>>(),
        });
        report.answer(&format!("{document:#}"), &document)
    }
}
