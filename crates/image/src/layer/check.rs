//! Checks that a layer can be made as its conf describes, before reading its files.

use super::part::Part;
use super::{LayerError, StoreLayer};
use crate::content::ReadError;

impl StoreLayer {
    /// Checks that the trees to be copied into the root can be merged, and that each of the
    /// permissions applies to something.
    ///
    /// # Errors
    ///
    /// If that is not so, or a tree cannot be read.
    pub(crate) fn check(&self) -> Result<(), LayerError> {
        for permission in &self.permissions {
            if !self.trees().any(|path| path.as_str() == permission.path) {
                let layer = self.trees().map(|path| path.as_str().to_owned()).collect();
                let path = permission.path.clone();
                return Err(LayerError::ForeignPermission { path, layer });
            }
        }
        let mut unused: Vec<_> = self.permissions.iter().collect();
        for part in 0..self.parts() {
            let mut part = Part::new(self, part, None, None)?;
            while let Some((name, trees)) = part.next_name(self).map_err(ReadError::from)? {
                unused.retain(|unused| !trees.iter().any(|path| unused.is_for(path, name)));
            }
        }
        match unused.first() {
            None => Ok(()),
            Some(unused) => Err(LayerError::UnusedPermission {
                path: unused.path.clone(),
                regex: unused.regex.as_str().to_owned(),
            }),
        }
    }
}
