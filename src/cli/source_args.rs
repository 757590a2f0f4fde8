//! The arguments of all commands that take an image in a registry.

use delivery::pull::{FinalName, PullError, Source};
use oci::registry::Options;
use oci::{Platform, Reference, ReferenceError, WantedPlatform};

#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// The image: NAME, NAME:TAG or NAME@DIGEST, with the digest of a manifest or an index
    // A string, since clap would repeat an invalid reference, including any password in it.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The operating system to choose from an index
    #[arg(long, value_name = "OS", default_value = "linux")]
    os: String,
    /// The architecture to choose from an index, as Go names it, such as amd64, arm64 or arm
    /// [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    pub(super) arch: Option<String>,
    /// The architecture's variant to choose from an index, such as v7 [default: none, or else the
    /// most capable one]
    #[arg(long, value_name = "VARIANT")]
    pub(super) variant: Option<String>,
    /// Check certificates, and refuse plain HTTP except to this machine
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
}

/// The name of the image in the archive.
#[derive(Debug, clap::Args)]
pub(super) struct FinalNameArgs {
    /// The image's name in the archive [default: that of IMAGE]
    #[arg(long, value_name = "NAME")]
    final_name: Option<String>,
    /// The image's tag in the archive [default: that of IMAGE, or latest]
    #[arg(long, value_name = "TAG")]
    final_tag: Option<String>,
}

impl SourceArgs {
    /// The image's name, with or without skopeo's `docker://` prefix.
    pub(super) fn reference(&self) -> Result<Reference, ReferenceError> {
        Reference::parse(self.image.strip_prefix("docker://").unwrap_or(&self.image))
    }

    pub(super) fn platform(&self) -> WantedPlatform {
        let architecture = self.arch.clone().unwrap_or_else(|| Platform::here().to_owned());
        WantedPlatform { os: self.os.clone(), architecture, variant: self.variant.clone() }
    }

    pub(super) fn options(&self) -> Options {
        Options { tls_verify: self.tls_verify, login: None }
    }

    /// Finds the image in its registry.
    pub(super) fn find(&self) -> Result<Source, PullError> {
        Source::find(&self.reference()?, &self.platform(), &self.options())
    }

    /// The operating system, if it is not Linux.
    pub(super) fn unusual_os(&self) -> Option<&str> {
        Some(&*self.os).filter(|os| *os != "linux")
    }
}

impl FinalNameArgs {
    /// The given name and tag, or those of the image.
    pub(super) fn parts(&self, image: &Reference) -> (String, String) {
        let name = self.final_name.clone().unwrap_or_else(|| image.name());
        let tag = self.final_tag.clone().unwrap_or_else(|| image.tag().to_owned());
        (name, tag)
    }

    pub(super) fn resolve(&self, image: &Reference) -> Result<FinalName, PullError> {
        let (name, tag) = self.parts(image);
        FinalName::new(&name, &tag)
    }
}
