//! Whole daemons inside the test, on scripted frames and a model that knows colours: what they are made of is hurt in every way, and
//! they have to give the same answers, or to index again and say so.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]
#![expect(clippy::print_stderr, reason = "figures, and what was not run, are told to who runs the tests")]

mod damage;
mod random;
mod world;
