//! Puts the paths of a closure into layers.
