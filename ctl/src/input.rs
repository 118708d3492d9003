//! Text that people type, as values: spans of time, dates, targets, paths.

pub(crate) mod date;
pub(crate) mod place;
pub(crate) mod span;
pub(crate) mod stretch;
pub(crate) mod target;
