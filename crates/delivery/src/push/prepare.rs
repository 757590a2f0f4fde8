//! Finds out what registries know about the layers, before anything is sent.

use std::sync::Arc;

use super::Push;
use super::error::PushError;
use super::remote::{Knowledge, Origin};
use image::Image;
use oci::registry::{Client, Repository};
use oci::{Platform, Reference};

/// A repository that was reached, and what is known about its layers.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) references: Vec<Reference>,
    pub(super) repository: Repository,
    pub(super) knowledge: Knowledge,
}

impl Push<'_> {
    /// Connects to the registry of names in one repository and finds out what it has. `before` are
    /// the repositories that are pushed to earlier, so their layers can be mounted.
    pub(super) fn prepare(
        &self,
        references: Vec<Reference>,
        before: &[Prepared],
    ) -> Result<Prepared, PushError> {
        let [first, ..] = &*references else { return Err(PushError::NoName) };
        let sources: &[Reference] = if self.options.learn { &self.options.cache_from } else { &[] };
        let here = sources.iter().filter(|source| source.registry() == first.registry());
        let mut readable: Vec<&str> = here.map(|source| source.repository.as_str()).collect();
        let before = before.iter().filter_map(|prepared| prepared.references.first());
        let before = before.filter(|other| other.registry() == first.registry());
        readable.extend(before.map(|other| other.repository.as_str()));
        readable.sort_unstable();
        readable.dedup();
        let client = Arc::new(Client::new(first, true, &readable, &self.options.registry)?);
        let repository = Repository::new(&client, &first.repository);
        let mut knowledge = Knowledge::default();
        if self.options.learn {
            for reference in &references {
                self.learn(&mut knowledge, &repository, reference, Origin::Target)?;
            }
        }
        for source in sources {
            let (origin, client) = if source.registry() == first.registry() {
                (Origin::Beside, Arc::clone(&client))
            } else {
                let client = Client::new(source, false, &[], &self.options.registry)?;
                (Origin::Elsewhere, Arc::new(client))
            };
            let source_repository = Repository::new(&client, &source.repository);
            if !self.learn(&mut knowledge, &source_repository, source, origin)? {
                self.observer.warn(&format!("no image `{source}` to learn from"));
            }
        }
        Ok(Prepared { references, repository, knowledge })
    }

    /// Learns from one image; returns whether it exists. An invalid image only causes a warning. If
    /// the target may not be read, it may not be written to either, so that ends the push before
    /// each blob is asked for.
    fn learn(
        &self,
        knowledge: &mut Knowledge,
        repository: &Repository,
        reference: &Reference,
        origin: Origin,
    ) -> Result<bool, PushError> {
        let platforms: Vec<Platform> = self.images.iter().map(Image::platform).collect();
        match knowledge.learn(repository, &reference.manifest(), &platforms, origin) {
            Err(error) if origin.is_end(&error) => {
                let (reference, source) = (reference.clone(), error.into());
                Err(PushError::Learning { reference, source })
            }
            Err(error) => {
                // The error may contain text from a document.
                let error = repository.show(&error.line());
                self.observer.warn(&format!("cannot learn from `{reference}`: {error}"));
                Ok(true)
            }
            Ok(found) => Ok(found),
        }
    }
}

/// Groups references by repository, in the order of the first reference to each.
pub(super) fn by_repository(references: &[Reference]) -> Vec<Vec<Reference>> {
    let mut groups: Vec<Vec<Reference>> = Vec::new();
    for reference in references.iter().map(Reference::resolved) {
        match groups.iter_mut().find(|group| group[0].name() == reference.name()) {
            Some(group) => group.push(reference),
            None => groups.push(vec![reference]),
        }
    }
    groups
}
