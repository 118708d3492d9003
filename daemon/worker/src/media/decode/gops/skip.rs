//! Which groups of pictures need not be decoded: the one part of the room that is for fast mode alone. Pure.
//!
//! Exact mode decodes all of them and asks nothing here.

pub(crate) mod judge;
mod odds;
