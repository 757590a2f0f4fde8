//! How to present a command's work.

use delivery::Observer;

use super::lines::Lines;
use super::sentences::Sentences;

/// How to present a command's work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// What it does to layers, such as "pushing".
    pub(super) doing: &'static str,
    /// What it did to a layer, such as "pushed".
    pub(super) did: &'static str,
    /// What a log shows.
    pub(super) log: Log,
}

/// What a log shows by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// The sentences of nixpkgs' script.
    Sentences,
    /// The beginning, a line for each layer, and the end.
    #[cfg_attr(not(feature = "push"), expect(dead_code, reason = "only push is logged so"))]
    Layers,
    /// The beginning and the end.
    Ends,
}

impl Style {
    pub(crate) const STREAM: Self = Self { doing: "writing", did: "wrote", log: Log::Sentences };
    pub(crate) const WRITE: Self = Self { log: Log::Ends, ..Self::STREAM };
    #[cfg(feature = "load")]
    pub(crate) const LOAD: Self = Self { doing: "sending", did: "sent", log: Log::Ends };
    #[cfg(feature = "push")]
    pub(crate) const PUSH: Self = Self { doing: "pushing", did: "pushed", log: Log::Layers };
    #[cfg(all(feature = "load", target_os = "linux"))]
    pub(crate) const ADD: Self = Self { doing: "linking", did: "linked", log: Log::Ends };
    #[cfg(feature = "pull")]
    pub(crate) const PULL: Self = Self { doing: "fetching", did: "fetched", log: Log::Ends };
    pub(crate) const MERGE: Self = Self { doing: "merging", did: "merged", log: Log::Ends };
    pub(crate) const EXPORT: Self = Self { doing: "exporting", did: "exported", log: Log::Ends };
    pub(crate) const READ: Self = Self { doing: "reading", did: "read", log: Log::Ends };

    /// What is done, such as "merging".
    pub(crate) fn doing(self) -> &'static str {
        self.doing
    }

    /// An observer that prints a line for each layer or step.
    pub(super) fn lines(self) -> Box<dyn Observer> {
        match self.log {
            Log::Sentences => Box::new(Sentences),
            Log::Layers | Log::Ends => Box::new(Lines::new(self.did)),
        }
    }
}
