//! Whole daemons inside the test, on scripted frames and a model that knows colours. Their data is damaged in every way. They have to give
//! the same answers, or index again and report it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]
#![expect(clippy::print_stderr, reason = "figures, and what was not run, are told to who runs the tests")]

mod damage;
mod random;
mod world;
