//! Values parsed from what people type: spans of time, dates, `FILE@TIME`, paths.

pub(crate) mod date;
pub(crate) mod file_at;
pub(crate) mod limit;
pub(crate) mod part;
pub(crate) mod place;
pub(crate) mod span;
