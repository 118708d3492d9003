//! The first exchange on a connection: client, daemon, protocol and capabilities.

use crate::PROTOCOL;
use crate::frame::RpcError;
use crate::message::{ErrorKind, Hello, HelloAnswer};

/// Capability names of this version: its methods except `hello`, and features that are not methods.
///
/// Later daemons add names. A client checks for a name before it relies on something added within protocol [`PROTOCOL`].
pub const CAPABILITIES: &[&str] = &[
    "search",
    "similar",
    "scenes",
    "status",
    "subscribe",
    "folders",
    "add",
    "remove",
    "forget",
    "wait",
    "rescan",
    "retry",
    "incidents",
    "pause",
    "resume",
    "why",
    "model_list",
    "model_use",
    "model_info",
    "model_remove",
    "doctor",
    "thumbnail",
];

/// The two sides speak different protocols.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon speaks protocol {theirs} (version {version}), this client {ours}")]
pub struct ProtocolMismatch {
    /// The client's protocol.
    pub ours: u32,
    /// The daemon's protocol.
    pub theirs: u32,
    /// Version of the daemon, or `unknown`.
    pub version: String,
}

/// Returns a client's first message.
pub fn greeting(client: &str, version: &str) -> Hello {
    Hello {
        protocol: PROTOCOL,
        client: client.to_owned(),
        version: version.to_owned(),
    }
}

/// Returns the daemon's answer to [`greeting`], once [`check_client`] has accepted it.
pub fn welcome(version: &str) -> HelloAnswer {
    HelloAnswer {
        protocol: PROTOCOL,
        server: "scened".to_owned(),
        version: version.to_owned(),
        capabilities: CAPABILITIES.iter().map(|&name| name.to_owned()).collect(),
        pid: std::process::id(),
    }
}

/// For the daemon: refuses a client that speaks another protocol. Returns the error to answer.
pub fn check_client(hello: &Hello) -> Result<(), RpcError> {
    if hello.protocol == PROTOCOL {
        return Ok(());
    }
    let message = format!("this daemon speaks protocol {PROTOCOL}, the client {}", hello.protocol);
    Err(RpcError::new(ErrorKind::ProtocolMismatch, message)
        .protocol(PROTOCOL)
        .hint("install scened and its clients of one version, and restart the daemon"))
}

/// For the daemon: returns the answer to any method before `hello`.
pub fn hello_required() -> RpcError {
    RpcError::new(ErrorKind::HelloRequired, "the first request of a connection is `hello`")
}

/// For a client: refuses a daemon that speaks another protocol.
pub fn check_server(answer: &HelloAnswer) -> Result<(), ProtocolMismatch> {
    if answer.protocol == PROTOCOL {
        return Ok(());
    }
    Err(ProtocolMismatch {
        ours: PROTOCOL,
        theirs: answer.protocol,
        version: answer.version.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_but_hello_is_a_capability() {
        let methods: Vec<_> = crate::method::NAMES.iter().filter(|&&name| name != "hello").collect();
        assert_eq!(methods, CAPABILITIES.iter().collect::<Vec<_>>());
    }

    #[test]
    fn another_protocol_is_refused_on_both_sides() {
        let mut hello = greeting("test", "1");
        assert_eq!(check_client(&hello), Ok(()));
        hello.protocol = 99;
        let error = check_client(&hello).unwrap_err();
        assert_eq!(
            (error.kind(), error.data.unwrap().protocol),
            (ErrorKind::ProtocolMismatch, Some(PROTOCOL))
        );

        let mut answer = welcome("1.2.3");
        assert_eq!(check_server(&answer), Ok(()));
        answer.protocol = 99;
        assert_eq!(check_server(&answer).unwrap_err().theirs, 99);
    }
}
