//! Tests.

mod plan;
