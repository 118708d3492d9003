//! Decides which groups of pictures need not be decoded. Only fast mode uses this module. Pure.
//!
//! Exact mode decodes all of them.

pub(crate) mod judge;
mod odds;
