//! Lines and JSON-RPC objects as bytes, for both sides: no sockets, no waiting.
//!
//! A daemon feeds received bytes into a [`LineSplitter`] and each line into [`parse_request`]. A client reads with [`read_line`] and parses
//! each line with [`parse_incoming`]. The `encode_*` functions return bytes that end with a line feed and can be written unchanged. Every
//! size is limited from the first byte: neither reader ever holds more than its limit and one chunk.

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{ErrorData, ErrorKind, Event};

mod lines;

pub use lines::{LineSplitter, LineTooLong, ReadLineError, read_line};

/// Longest line that a client may send, without the line feed. Bytes.
pub const MAX_REQUEST_BYTES: usize = 1 << 20;

/// Longest line that a daemon may send, without the line feed. Bytes.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Longest string id. Bytes. Limited because every answer repeats it.
pub const MAX_ID_BYTES: usize = 1 << 10;

/// Most values (members, elements) in a request. A megabyte of small values would take thirty megabytes in memory.
pub const MAX_REQUEST_VALUES: usize = 16 << 10;

/// Method of the notifications that follow a `subscribe`.
pub const EVENT_METHOD: &str = "event";

/// Matches an answer to its request: a number or a string, sent back unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A number.
    Number(serde_json::Number),
    /// A string.
    Text(String),
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

/// A request as received, with its parameters not yet parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Sent back with the answer.
    pub id: Id,
    /// The method to call.
    pub method: String,
    /// An object, or `Null` if none was sent.
    pub params: Value,
}

impl Request {
    /// Parses the parameters as the type that the method takes; `Null` counts as `{}`.
    ///
    /// **Errors**: [`ErrorKind::InvalidParams`] naming what is missing or of the wrong type.
    pub fn params<T: DeserializeOwned>(self) -> Result<T, RpcError> {
        let params = match self.params {
            Value::Null => Value::Object(serde_json::Map::new()),
            other => other,
        };
        serde_json::from_value(params).map_err(|e| {
            RpcError::new(
                ErrorKind::InvalidParams,
                format!("the parameters of `{}` are not valid", self.method),
            )
            .cause(e.to_string())
        })
    }
}

/// The member `error` of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// The JSON-RPC error code; see [`ErrorKind::code`].
    pub code: i64,
    /// A sentence for people.
    pub message: String,
    /// Absent if the answer is from a program other than `scened`, or if its shape is not known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient_data")]
    pub data: Option<ErrorData>,
}

/// Accepts `data` of any shape: an error must stay readable even if its details are not.
fn lenient_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ErrorData>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

impl RpcError {
    /// Creates an error without causes or a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let data = ErrorData {
            kind,
            causes: Vec::new(),
            hint: None,
            protocol: None,
        };
        Self {
            code: kind.code(),
            message: message.into(),
            data: Some(data),
        }
    }

    /// Adds a cause beneath those already there.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.data_mut().causes.push(cause.into());
        self
    }

    /// Adds the causes of an error (its sources, not itself), outermost first.
    #[must_use]
    pub fn sources_of(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = error.source();
        while let Some(source) = next {
            self = self.cause(source.to_string());
            next = source.source();
        }
        self
    }

    /// Sets the hint: what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.data_mut().hint = Some(hint.into());
        self
    }

    /// Sets the daemon's protocol, for [`ErrorKind::ProtocolMismatch`].
    #[must_use]
    pub fn protocol(mut self, protocol: u32) -> Self {
        self.data_mut().protocol = Some(protocol);
        self
    }

    /// Returns the kind, which a program may act on; [`ErrorKind::Other`] if the error has none.
    pub fn kind(&self) -> ErrorKind {
        self.data.as_ref().map_or(ErrorKind::Other, |data| data.kind)
    }

    fn data_mut(&mut self) -> &mut ErrorData {
        self.data.get_or_insert(ErrorData {
            kind: ErrorKind::Other,
            causes: Vec::new(),
            hint: None,
            protocol: None,
        })
    }
}

/// What a line from the daemon contains.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The answer to a request.
    Response {
        /// `None` if the daemon could not read the request's id.
        id: Option<Id>,
        /// The member `result` or `error`.
        outcome: Result<Value, RpcError>,
    },
    /// An event.
    Notification {
        /// [`EVENT_METHOD`], in this version.
        method: String,
        /// See [`crate::message::Event`].
        params: Value,
    },
}

/// Parses a line as a request.
///
/// **Errors**: the error to answer, with the id if one could be read ([`encode_error`] takes both). [`ErrorKind::Parse`] if the line isn't
/// JSON. [`ErrorKind::InvalidRequest`] if it is not a JSON-RPC 2.0 request with an id and parameters by name. Batches are refused.
pub fn parse_request(line: &[u8]) -> Result<Request, (Option<Id>, RpcError)> {
    let invalid = |id: Option<Id>, text: &str| (id, RpcError::new(ErrorKind::InvalidRequest, text));
    // A value takes at least two bytes, so short lines need not be counted.
    if line.len() > MAX_REQUEST_VALUES && n_values(line) > MAX_REQUEST_VALUES {
        return Err(invalid(None, "the request has too many values"));
    }
    let value: Value = serde_json::from_slice(line).map_err(|e| {
        (
            None,
            RpcError::new(ErrorKind::Parse, "the request is not JSON").cause(e.to_string()),
        )
    })?;
    let Value::Object(mut object) = value else {
        return Err(invalid(None, "a request is one JSON object; batches are not taken"));
    };
    let id = match object.remove("id") {
        Some(Value::Number(number)) => Id::Number(number),
        Some(Value::String(text)) if text.len() > MAX_ID_BYTES => return Err(invalid(None, "the member `id` is too long")),
        Some(Value::String(text)) => Id::Text(text),
        Some(_) => return Err(invalid(None, "the member `id` is neither a number nor a string")),
        None => {
            return Err(invalid(
                None,
                "the member `id` is missing: every request has one, so that every request is answered",
            ));
        }
    };
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid(Some(id), "the member `jsonrpc` is not \"2.0\""));
    }
    let Some(Value::String(method)) = object.remove("method") else {
        return Err(invalid(Some(id), "the member `method` is missing or no string"));
    };
    let params = object.remove("params").unwrap_or_default();
    if !matches!(params, Value::Null | Value::Object(_)) {
        return Err(invalid(Some(id), "parameters go by name: `params` is an object"));
    }
    Ok(Request { id, method, params })
}

/// Estimates the number of values in a line of JSON: counts the commas outside of strings. The parser's depth limit bounds nesting without
/// commas.
fn n_values(line: &[u8]) -> usize {
    let (mut n_values, mut is_in_string, mut is_escaped) = (0, false, false);
    for byte in line {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            b',' if !is_in_string => n_values += 1,
            _ => {}
        }
    }
    n_values
}

/// Parses a line as an answer or a notification.
///
/// **Errors**: a sentence about what is wrong with the line.
pub fn parse_incoming(line: &[u8]) -> Result<Incoming, String> {
    let value: Value = serde_json::from_slice(line).map_err(|e| format!("it is not JSON: {e}"))?;
    let Value::Object(mut object) = value else {
        return Err("it is no JSON object".to_owned());
    };
    if let Some(method) = object.remove("method") {
        let Value::String(method) = method else {
            return Err("its member `method` is no string".to_owned());
        };
        let params = object.remove("params").unwrap_or_default();
        return Ok(Incoming::Notification { method, params });
    }
    let id = match object.remove("id") {
        Some(Value::Number(number)) => Some(Id::Number(number)),
        Some(Value::String(text)) => Some(Id::Text(text)),
        _ => None,
    };
    if let Some(error) = object.remove("error") {
        let error = serde_json::from_value(error).map_err(|e| format!("its member `error` is not valid: {e}"))?;
        return Ok(Incoming::Response { id, outcome: Err(error) });
    }
    match object.remove("result") {
        Some(result) => Ok(Incoming::Response { id, outcome: Ok(result) }),
        None => Err("it has neither `result` nor `error` nor `method`".to_owned()),
    }
}

#[derive(Serialize)]
struct RequestOut<'a, P> {
    jsonrpc: &'static str,
    id: &'a Id,
    method: &'a str,
    params: &'a P,
}

#[derive(Serialize)]
struct ResultOut<'a, R> {
    jsonrpc: &'static str,
    id: &'a Id,
    result: &'a R,
}

#[derive(Serialize)]
struct ErrorOut<'a> {
    jsonrpc: &'static str,
    id: Option<&'a Id>,
    error: &'a RpcError,
}

#[derive(Serialize)]
struct NotificationOut<'a, P> {
    jsonrpc: &'static str,
    method: &'a str,
    params: &'a P,
}

/// Encodes a request as a line.
pub fn encode_request<P: Serialize>(id: &Id, method: &str, params: &P) -> Vec<u8> {
    line(&RequestOut {
        jsonrpc: "2.0",
        id,
        method,
        params,
    })
}

/// Encodes an answer as a line. A line longer than [`MAX_ANSWER_BYTES`] becomes an error of kind [`ErrorKind::TooLarge`].
pub fn encode_response<R: Serialize>(id: &Id, outcome: &Result<R, RpcError>) -> Vec<u8> {
    let result = match outcome {
        Ok(result) => result,
        Err(error) => return encode_error(Some(id), error),
    };
    let bytes = line(&ResultOut {
        jsonrpc: "2.0",
        id,
        result,
    });
    if bytes.len() <= MAX_ANSWER_BYTES {
        return bytes;
    }
    let error =
        RpcError::new(ErrorKind::TooLarge, format!("the answer has more than {MAX_ANSWER_BYTES} bytes")).hint("ask for less at once");
    encode_error(Some(id), &error)
}

/// Encodes an error as a line; without an id if the request's id could not be read.
pub fn encode_error(id: Option<&Id>, error: &RpcError) -> Vec<u8> {
    line(&ErrorOut { jsonrpc: "2.0", id, error })
}

/// Encodes an event as a line.
pub fn encode_event(event: &Event) -> Vec<u8> {
    encode_notification(EVENT_METHOD, event)
}

/// Encodes a notification as a line.
pub fn encode_notification<P: Serialize>(method: &str, params: &P) -> Vec<u8> {
    line(&NotificationOut {
        jsonrpc: "2.0",
        method,
        params,
    })
}

fn line<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("wire types have only string keys, so they can be written as JSON");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{SearchRequest, Status};

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn requests_are_read_with_either_kind_of_id() {
        let check = |line: &str, id: Id, method: &str, params: Value| {
            let request = parse_request(line.as_bytes()).unwrap();
            assert_eq!(
                request,
                Request {
                    id,
                    method: method.to_owned(),
                    params
                },
                "{line}"
            );
        };
        check(r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#, 1.into(), "status", Value::Null);
        check(
            r#" {"method":"search","params":{"query":"x"},"id":"a","jsonrpc":"2.0","extra":[1]} "#,
            Id::Text("a".to_owned()),
            "search",
            serde_json::json!({"query": "x"}),
        );
    }

    #[test]
    fn bad_requests_are_answered_with_the_id_where_it_could_be_read() {
        let check = |line: &[u8], id: Option<Id>, kind: ErrorKind, part: &str| {
            let (found, error) = parse_request(line).expect_err("refused");
            assert_eq!((found, error.kind()), (id, kind), "{}", String::from_utf8_lossy(line));
            assert!(error.message.contains(part), "{}", error.message);
        };
        check(b"hello", None, ErrorKind::Parse, "not JSON");
        check(b"\xff\xfe", None, ErrorKind::Parse, "not JSON");
        check(b"[]", None, ErrorKind::InvalidRequest, "batches");
        check(b"{}", None, ErrorKind::InvalidRequest, "`id` is missing");
        check(
            br#"{"id":null,"jsonrpc":"2.0","method":"x"}"#,
            None,
            ErrorKind::InvalidRequest,
            "neither a number",
        );
        check(br#"{"id":7,"method":"x"}"#, Some(7.into()), ErrorKind::InvalidRequest, "jsonrpc");
        check(br#"{"id":7,"jsonrpc":"2.0"}"#, Some(7.into()), ErrorKind::InvalidRequest, "method");
        check(
            br#"{"id":7,"jsonrpc":"2.0","method":"x","params":[1]}"#,
            Some(7.into()),
            ErrorKind::InvalidRequest,
            "by name",
        );
        let deep = "[".repeat(100_000);
        check(deep.as_bytes(), None, ErrorKind::Parse, "not JSON");
    }

    #[test]
    fn parameters_say_what_is_missing() {
        let request =
            |params: &str| parse_request(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"search","params":{params}}}"#).as_bytes()).unwrap();
        assert_eq!(request(r#"{"query":"x"}"#).params::<SearchRequest>().unwrap().n, 10);
        let error = request("{}").params::<SearchRequest>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParams);
        assert_eq!(error.data.unwrap().causes, ["missing field `query`"]);
    }

    #[test]
    fn lines_are_encoded_to_the_letter() {
        let id = Id::from(3);
        assert_eq!(
            text(&encode_request(&id, "search", &serde_json::json!({"query": "a"}))),
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"search\",\"params\":{\"query\":\"a\"}}\n"
        );
        assert_eq!(
            text(&encode_response(&id, &Ok(0.93f32))),
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":0.93}\n"
        );
        let error = RpcError::new(ErrorKind::NotFound, "no such video").cause("why").hint("try");
        assert_eq!(
            text(&encode_response::<()>(&id, &Err(error.clone()))),
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32001,\"message\":\"no such video\",\
             \"data\":{\"kind\":\"not-found\",\"causes\":[\"why\"],\"hint\":\"try\"}}}\n"
        );
        assert!(text(&encode_error(None, &error)).contains("\"id\":null"));
        let event = Event::Status {
            status: Box::new(Status::default()),
        };
        assert!(
            text(&encode_event(&event))
                .starts_with("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"event\":\"status\",\"status\":{")
        );
    }

    #[test]
    fn answers_are_read_back() {
        let id = Id::from(3);
        let error = RpcError::new(ErrorKind::Overloaded, "busy").protocol(2);
        let check = |line: &[u8], expected: Incoming| assert_eq!(parse_incoming(line).unwrap(), expected);
        check(
            &encode_response(&id, &Ok(vec![1])),
            Incoming::Response {
                id: Some(id.clone()),
                outcome: Ok(serde_json::json!([1])),
            },
        );
        check(
            &encode_error(None, &error),
            Incoming::Response {
                id: None,
                outcome: Err(error.clone()),
            },
        );
        check(
            &encode_notification("event", &1),
            Incoming::Notification {
                method: "event".to_owned(),
                params: 1.into(),
            },
        );
        check(
            br#"{"id":3,"error":{"code":5,"message":"m","data":"text"}}"#,
            Incoming::Response {
                id: Some(id.clone()),
                outcome: Err(RpcError {
                    code: 5,
                    message: "m".to_owned(),
                    data: None,
                }),
            },
        );
        for bad in [&b"x"[..], b"[]", b"{}", br#"{"id":1,"error":5}"#, br#"{"method":5}"#] {
            assert!(parse_incoming(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_request_is_small_in_memory_as_well() {
        let request = |params: &str| {
            let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"search","params":{{"x":{params}}}}}"#);
            parse_request(line.as_bytes()).map_err(|(_, error)| error.message)
        };
        let list = |n: usize| format!("[{}0]", "0,".repeat(n));
        assert!(request(&list(MAX_REQUEST_VALUES - 100)).is_ok());
        assert_eq!(request(&list(MAX_REQUEST_VALUES)).unwrap_err(), "the request has too many values");
        assert_eq!(request(&"[".repeat(100_000)).unwrap_err(), "the request is not JSON");
        let text = serde_json::to_string(&"[,{\"\\".repeat(50_000)).unwrap();
        assert!(request(&text).is_ok(), "what is in a string is no value");
        let long_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"x"}}"#, "a".repeat(MAX_ID_BYTES + 1));
        assert_eq!(
            parse_request(long_id.as_bytes()).unwrap_err().1.message,
            "the member `id` is too long"
        );
    }

    #[test]
    fn an_answer_that_is_too_large_becomes_an_error() {
        let line = encode_response(&1.into(), &Ok("x".repeat(MAX_ANSWER_BYTES)));
        assert!(line.len() < 1000);
        assert!(text(&line).contains("too-large"));
    }
}
