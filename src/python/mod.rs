//! What Python writes: JSON, `repr` and dates.
