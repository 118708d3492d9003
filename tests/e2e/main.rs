//! The real `scenectl` against a real daemon with real workers: what a user sees, one module per subject.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]
#![expect(clippy::print_stderr, reason = "figures, and what was not run, are told to who runs the tests")]

mod bad_videos;
mod browse;
mod clients;
mod clocks;
mod crops;
mod eval;
mod export;
mod folders;
mod forget;
mod halves;
mod ignoring;
mod install;
mod lists;
mod main_job;
mod models;
mod names;
mod offline;
mod open;
mod page;
mod pausing;
mod preview;
mod real_clips;
mod search;
mod similar;
mod swarm;
mod terminal;
mod untouched;
mod verbs;
mod watching;
mod why;

use std::time::Duration;

use serde_json::Value;

/// For conditions that come about by themselves. Generous, because the machine may be busy.
const SOON: Duration = Duration::from_secs(90);

/// Returns the file name of a hit.
fn name(hit: &Value) -> &str {
    let path = hit["path"].as_str().expect("a hit has a path");
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns the file names of hits, in order.
fn names(hits: &[Value]) -> Vec<&str> {
    hits.iter().map(name).collect()
}

/// Decodes the path of a URL to bytes.
fn percent_decoded(url: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = url.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&more[..2]).unwrap(), 16).unwrap());
            rest = &more[2..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    bytes
}
