//! The protocol of `scened`, and a blocking client for it.
//!
//! This page is the specification: a program in any language that does what it says can talk to the daemon.
//! For Rust, [`message`] has the same as structs, and [`method`] pairs requests with answers. [`frame`] turns them into lines and back;
//! [`client::Client`] does it all.
//!
//! # The connection
//!
//! The daemon listens at a socket of the file system (a named pipe on Windows). It never listens at a network port, nor in Linux's
//! abstract namespace, which has no permissions. The first of these that is set names the socket, for daemon and client alike:
//!
//! 1. the flag `--socket PATH`;
//! 2. the variable `SCENED_SOCKET`;
//! 3. `$XDG_RUNTIME_DIR/scened/scened.sock`;
//! 4. `scened.sock` inside the data folder (`--data-dir`, `SCENED_DATA_DIR`, or the platform's folder for user data).
//!
//! The socket's folder belongs to the user and is closed to all others (0700). The daemon refuses a peer of another user. A client
//! refuses a socket if its folder, its file or its listener belongs to another user, because that user would read every query.
//! A path that is too long for the kernel (over 107 bytes on Linux) is an error that says so.
//!
//! # Lines
//!
//! Both directions carry **one JSON object a line**, UTF-8, ended by a line feed. Inside a line is a JSON-RPC 2.0 message. Blank
//! lines are ignored.
//!
//! Sizes are limited from the first byte, not once a line has been read. A request has at most 1 MiB
//! ([`frame::MAX_REQUEST_BYTES`]), an answer or event at most 64 MiB ([`frame::MAX_ANSWER_BYTES`]). If a client sends more, the daemon says why
//! (`too-large`, with `"id": null`) and closes the connection.
//!
//! Other limits keep one client from slowing the others. A program that asks one thing at a time on a few connections never meets them:
//!
//! | what | limit | beyond it |
//! |---|---|---|
//! | a request's values (members and elements) | 16,384 ([`frame::MAX_REQUEST_VALUES`]) | `invalid-request` |
//! | an `id` that is a string | 1,024 bytes ([`frame::MAX_ID_BYTES`]) | `invalid-request` |
//! | a path; places in `in`; texts in `not`; a query | 16 KiB; 256; 16; 4,096 bytes | `invalid-params` |
//! | time to `hello` | 10 s | `timed-out`, closed |
//! | time from a request's first byte to its last | 30 s | `timed-out`, closed |
//! | time to read an answer | 20 s | closed |
//! | requests over 64 KiB being received | 8 | `overloaded`, closed |
//! | answers over 256 KiB being sent | 192 MiB in all | `overloaded` in the answer's place |
//! | connections (a subscription takes one) | 256, or a third of the descriptors the system allows | a process with fewer takes a connection from the one with most, or one that was idle for a minute; otherwise the new connection gets `overloaded` and is closed, as is one that was taken (`"id": null`) |
//! | requests of one connection at work | 1 | the next one waits in the socket |
//! | requests at work | 8, of one process 4; of those that touch files, decode or walk through everything (`similar`, `why`, `add`, `remove`, `rescan`, `retry`, `doctor`, `model_*`) 4, of one process 2 | they wait, and those of the process that used least lately go first; the last free place is for one that used little |
//! | time for the model to embed a question (`search`, `similar`, `why` with a query) | 20 s | `model-timed-out`; the message says what was waited for |
//! | questions that the model embeds | 8, of one process 4 | they wait, as above, and no other request waits for them; what was asked lately is answered without the model |
//! | requests waiting | 128, 128 and 32 | a process with fewer takes the place of the one with most; else `overloaded` |
//!
//! A request:
//!
//! ```json
//! {"jsonrpc":"2.0","id":2,"method":"search","params":{"query":"a dog","n":3}}
//! ```
//!
//! - `id` is a number or a string, and comes back unchanged. It must be there: *every line that a client sends is answered*, even one
//!   that isn't JSON (then with `"id": null`). A client sends no notifications and no batches.
//! - `params` is an object, by name. It may be left out if every member has a default.
//! - Answers of one connection may come in another order than their requests; the `id` pairs them.
//!
//! An answer has either `result` or `error`:
//!
//! ```json
//! {"jsonrpc":"2.0","id":2,"result":{"query":"a dog","model":"starter","hits":[],"coverage":{"indexed":8,"pending":0,"failed":0,"offline":0}}}
//! {"jsonrpc":"2.0","id":3,"error":{"code":-32001,"message":"no such video","data":{"kind":"not-found","hint":"`scenectl folders` lists what is watched"}}}
//! ```
//!
//! # Hello
//!
//! The first request of a connection is `hello`; any other gets the error `hello-required`.
//!
//! ```json
//! {"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1,"client":"scenectl","version":"0.1.0"}}
//! {"jsonrpc":"2.0","id":1,"result":{"protocol":1,"server":"scened","version":"0.1.0","capabilities":["search","similar"],"pid":4242}}
//! ```
//!
//! `protocol` is [`PROTOCOL`]. If the two differ, the daemon answers `protocol-mismatch` with its own number in `data`, and closes the
//! connection. `version` is for people. `capabilities` are names ([`hello::CAPABILITIES`]). A client that needs something added later
//! looks for its name, and never compares versions.
//!
//! # What may change
//!
//! Inside one protocol number, things are only added: methods, capabilities, members of objects, values of `kind`, events. Therefore
//! **both sides ignore members they don't know**. A client skips events it doesn't know, and treats an unknown `kind` as any other
//! failure. Any other change raises the number.
//!
//! # Values
//!
//! - Times end in `_ms`. Inside a video they are milliseconds from its start as a player shows it; a range holds its start and not
//!   its end. Dates are Unix milliseconds.
//! - A path is absolute and is the member `path`. If the file's name isn't UTF-8, `path` is only for people: the bad bytes are replaced.
//!   Then `path_bytes` beside it is the base64 of the true bytes, and a program uses that ([`wire_path::WirePath`]).
//! - `video` and `scene` are ids: opaque strings that last as long as the video stays in the index.
//! - `score` is the model's own similarity: the cosine between the query and the frame at `best_ms`.
//! - `confidence` is how probable it is that the hit shows what the text asks for; it can be compared between queries. Hits below
//!   `min_confidence` are left out. If an answer has no confidence (pictures; the first query to a slow model), a notice says that none
//!   were left out.
//! - `coverage` says how complete an answer is: how many videos of the scope are indexed, pending, failed and offline. An offline video
//!   is counted as offline only.
//!
//! # Methods
//!
//! *(file)* stands for the members `path` and `path_bytes`. *Optional* members may be left out.
//!
//! | method | params | answer |
//! |---|---|---|
//! | `hello` | `protocol`, `client`, `version` | `protocol`, `server`, `version`, `capabilities`, `pid` |
//! | `search` | `query`; optional: `n` = 10, `not`: texts, `by`: `scene` or `video`, `min_confidence`, *filters* | `query`, `model`, `hits`, `coverage`; optional: `notices` |
//! | `similar` | *(file)*; optional: `at_ms`, `n`, `by`, `min_confidence`, *filters* | as `search` |
//! | `scenes` | *(file)* | *(file)*, `video`, `duration_ms`, `offline`, `scenes`: `start_ms`, `end_ms`, `boundary`, `scene`; optional: `picture`, `size_bytes`, `mtime_ns` |
//! | `status` | | `videos`, `scenes`, `model`, `provider`, `state`, `warnings`, `notices`, `queue`, `progress`, `folders`, `version`, `pid`, `uptime_ms`, `n_incidents`; optional: `decoder` |
//! | `subscribe` | | as `status`, then events |
//! | `folders` | | `folders`: *(file)*, `state`: `watched`, `polled` or `offline`, `videos`; optional: `detail`, `volume`, `last_seen_ms`, `away`: *(file)*, `volume`, `last_seen_ms` |
//! | `add` | *(file)* of a folder | as `folders` |
//! | `remove` | *(file)*; optional: `keep`, `dry_run` | `n_videos`, `folders` |
//! | `forget` | *(file)*; optional: `dry_run` | `n_videos`, `n_scenes`, `duration_ms`, `n_offline`, `n_kept` |
//! | `wait` | optional: `timeout_ms` | `idle`, `queue`, `videos`; answered when nothing is left to do, or when the time is up |
//! | `rescan` | optional: `scope`: *(file)*, `force`: decode this one file anew | `n` folders (with `force`: files), `state`; with `force`: `forced` |
//! | `retry` | optional: `scope`: *(file)* | `n` files, `state` |
//! | `incidents` | | `incidents`: *(file)*, `reason`, `attempts`, `first_ms`, `last_ms`; optional: `hint`, `cause` (`video`, `storage`, `machine`) |
//! | `pause` | optional: `for_ms` | `n`, `state` |
//! | `resume` | | `n`, `state` |
//! | `why` | *(file)*; optional: `query` | *(file)*, `state`, `reasons`; optional: `best`: a hit, `rank`, `of_scenes` |
//! | `model_list` | | `models`: `name`, *(file)*, `active`, `state`, `layout`, `image_px`, `size_bytes`, `videos`; optional: `dimensions`, `crop` |
//! | `model_use` | `model`: a name or an absolute folder; `reindex`: decode every video again | as `model_list` |
//! | `model_info` | `model` | as `model_list`, one row |
//! | `model_remove` | `model` | as `model_list` |
//! | `doctor` | | `checks`: `name`, `state`: `ok`, `warn` or `fail`, `detail`; optional: `hint` |
//! | `thumbnail` | `scene` | `jpeg`: base64 |
//!
//! A folder or drive that cannot be reached keeps its videos, marked offline: `volume` is its name, `last_seen_ms` when it was last
//! there. `away` names drives with videos below a folder that is itself there. Only `forget` drops such videos. It keeps
//! (`n_kept`) what is there and watched, because that would be found again.
//!
//! *filters* are optional members:
//!
//! - `in`: a list of *(file)*; a hit lies in one of them;
//! - `since_ms` and `until_ms`: the file's modification time; `until_ms` itself is excluded;
//! - `min_duration_ms`, `max_duration_ms`.
//!
//! A hit: *(file)*, `start_ms`, `end_ms`, `best_ms`, `score`, `video`, `scene`, `offline`, `duration_ms`; optional: `confidence`, `video_score`,
//! `picture`.
//!
//! `picture` is for programs that open the file themselves:
//!
//! - `stream` is the index of the indexed stream, as FFmpeg counts; `track` is its place among the `n_tracks` streams of pictures; `id` is
//!   the container's name for it.
//! - `clock` is there if the file's time stamps do not run on. It lists parts. Each has `start_ms`, the file's own time at its beginning
//!   and end (`file_ms`, `file_end_ms`), `offset_bytes` and `first_frame`.
//! - `wrong` lists places where the stamps of a few frames are wrong.
//!
//! # Events
//!
//! The answer to `subscribe` is the status of that moment. Every later change comes as a notification, so nothing is missed in between:
//!
//! ```json
//! {"jsonrpc":"2.0","method":"event","params":{"event":"video_indexed","path":"/films/a.mp4","n_scenes":12}}
//! ```
//!
//! | `event` | members |
//! |---|---|
//! | `status` | `status`; when something changed, at most twice a second |
//! | `video_indexed` | *(file)*, `n_scenes` |
//! | `video_failed` | *(file)*, `reason` |
//! | `video_removed` | *(file)* |
//! | `video_moved` | *(file)*, `from`: *(file)* |
//!
//! The daemon keeps a small number of unsent events for each client. **A slow reader is disconnected**: it connects again, and the
//! new status says where things are. It never slows other clients. Requests on such a connection get `invalid-request`; a client
//! asks on another one.
//!
//! # Errors
//!
//! `message` is a sentence for people, `data.causes` says why, and `data.hint` says what they can do. Programs look at `data.kind`
//! ([`message::ErrorKind`]) or at `code`:
//!
//! | `kind` | `code` | when |
//! |---|---|---|
//! | `parse` | -32700 | the line isn't JSON |
//! | `invalid-request` | -32600 | it is JSON, but no request |
//! | `unknown-method` | -32601 | a method of another version |
//! | `invalid-params` | -32602 | a member is missing, of the wrong type, or out of range; an empty or endless query |
//! | `internal` | -32603 | a bug, or the disk |
//! | `overloaded` | -32000 | too many requests, connections or bytes at once: try again |
//! | `not-found` | -32001 | no such video, scene, folder or model |
//! | `unavailable` | -32002 | something outside is missing, such as ONNX Runtime or the model |
//! | `protocol-mismatch` | -32010 | `data.protocol` is the daemon's |
//! | `hello-required` | -32011 | the first request was not `hello` |
//! | `too-large` | -32012 | a line over its limit; the connection is closed |
//! | `shutting-down` | -32013 | the daemon is about to end |
//! | `timed-out` | -32014 | a request was begun and not finished in time; the connection is closed |
//! | `model-timed-out` | -32015 | the model did not embed the question within 20 s: ask again; `message` says what was waited for |
//!
//! # A session with `socat`
//!
//! ```text
//! $ socat - UNIX-CONNECT:$XDG_RUNTIME_DIR/scened/scened.sock
//! > {"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1,"client":"me","version":"0"}}
//! < {"jsonrpc":"2.0","id":1,"result":{"protocol":1,"server":"scened","version":"0.1.0","capabilities":["search",…],"pid":4242}}
//! > {"jsonrpc":"2.0","id":2,"method":"search","params":{"query":"a red car","n":1}}
//! < {"jsonrpc":"2.0","id":2,"result":{"query":"a red car","model":"starter","hits":[{"path":"/films/a.mp4","start_ms":1200,
//!    "end_ms":4900,"best_ms":2500,"score":0.27,"confidence":0.93,"video":"000000002a","scene":"000000002a-2","offline":false,"duration_ms":61000}],
//!    "coverage":{"indexed":97,"pending":2,"failed":1,"offline":0}}}
//! > {"jsonrpc":"2.0","id":3,"method":"dance"}
//! < {"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"there is no method \"dance\"","data":{"kind":"unknown-method"}}}
//! > {"jsonrpc":"2.0","id":"s","method":"subscribe"}
//! < {"jsonrpc":"2.0","id":"s","result":{"videos":{"indexed":97,"pending":2,"failed":1,"offline":0},"scenes":1234,"state":"indexing",…}}
//! < {"jsonrpc":"2.0","method":"event","params":{"event":"video_indexed","path":"/films/b.mp4","n_scenes":7}}
//! ```
//!
//! (`>` and `<` are not part of the lines; a long one is broken here to fit the page.)
//!
//! # In Rust
//!
//! ```no_run
//! use scened_shared::{client::Client, endpoint::Endpoint, message::SearchRequest, method};
//!
//! let mut client = Client::connect(&Endpoint::resolve(None, None)?)?;
//! let request: SearchRequest = serde_json::from_str(r#"{"query": "a red car"}"#)?;
//! for hit in client.call::<method::Search>(&request)?.hits {
//!     let path = hit.file.to_path()?;
//!     assert!(path.is_absolute() && hit.start_ms <= hit.best_ms);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs)]

pub mod address;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
pub mod endpoint;
pub mod frame;
pub mod hello;
pub mod message;
pub mod method;
pub mod program;
pub mod quantity;
pub mod shell;
pub mod spelling;
pub mod standard_error;
pub mod stop;
pub mod terminal;
pub mod wire_path;

/// Version of the protocol; only additive changes are made inside one integer.
pub const PROTOCOL: u32 = 1;
