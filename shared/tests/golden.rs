//! The messages in `tests/data/messages` record the protocol: they must stay readable and writable for as long as the protocol number
//! stays. Changing one of them changes the protocol.
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap fails the test")]

use std::path::PathBuf;

use scened_shared::frame::RpcError;
use scened_shared::message::Event;
use scened_shared::method::{self, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn golden(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/messages")
        .join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Adds a member that no version knows to every object, at every depth.
fn with_unknown_members(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut object: serde_json::Map<_, _> = object.iter().map(|(k, v)| (k.clone(), with_unknown_members(v))).collect();
            object.insert("zz_added_later".to_owned(), serde_json::json!({"x": [1]}));
            object.into()
        }
        Value::Array(items) => items.iter().map(with_unknown_members).collect(),
        other => other.clone(),
    }
}

fn check<T: Serialize + DeserializeOwned>(what: &str, value: &Value) {
    // Converted through text: `to_value` would turn 0.27f32 into 0.27000001072883606.
    let written = |read: &T| -> Value { serde_json::from_str(&serde_json::to_string(read).unwrap()).unwrap() };
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(&written(&read), value, "{what}");
    let read: T = serde_json::from_value(with_unknown_members(value)).unwrap_or_else(|e| panic!("{what} with unknown members: {e}"));
    assert_eq!(&written(&read), value, "{what} with unknown members");
}

fn check_method<M: Method>() -> &'static str {
    let golden = golden(M::NAME);
    check::<M::Params>(&format!("params of {}", M::NAME), &golden["params"]);
    check::<M::Answer>(&format!("answer of {}", M::NAME), &golden["result"]);
    M::NAME
}

#[test]
fn every_method_reads_and_writes_its_golden_message() {
    let checked = [
        check_method::<method::Hello>(),
        check_method::<method::Search>(),
        check_method::<method::Similar>(),
        check_method::<method::Scenes>(),
        check_method::<method::Status>(),
        check_method::<method::Subscribe>(),
        check_method::<method::Folders>(),
        check_method::<method::Add>(),
        check_method::<method::Remove>(),
        check_method::<method::Forget>(),
        check_method::<method::Wait>(),
        check_method::<method::Rescan>(),
        check_method::<method::Retry>(),
        check_method::<method::Incidents>(),
        check_method::<method::Pause>(),
        check_method::<method::Resume>(),
        check_method::<method::Why>(),
        check_method::<method::ModelList>(),
        check_method::<method::ModelUse>(),
        check_method::<method::ModelInfo>(),
        check_method::<method::ModelRemove>(),
        check_method::<method::Doctor>(),
        check_method::<method::Thumbnail>(),
    ];
    assert_eq!(checked, method::NAMES);
}

#[test]
fn every_event_reads_and_writes_its_golden_message() {
    for event in golden("events").as_array().unwrap() {
        check::<Event>(&event["event"].to_string(), event);
    }
}

#[test]
fn every_error_kind_has_its_name_and_code() {
    let errors = golden("errors");
    let errors = errors.as_array().unwrap();
    assert_eq!(errors.len(), 13);
    for error in errors {
        check::<RpcError>(&error["data"]["kind"].to_string(), error);
        let read: RpcError = serde_json::from_value(error.clone()).unwrap();
        assert_eq!(read.kind().code(), read.code, "{error}");
    }
}

#[test]
fn an_unknown_kind_of_error_is_still_an_error() {
    let read: RpcError = serde_json::from_str(r#"{"code":-1,"message":"m","data":{"kind":"from-the-future"}}"#).unwrap();
    assert_eq!(read.kind(), scened_shared::message::ErrorKind::Other);
}

#[test]
fn optional_members_have_defaults() {
    let search: scened_shared::message::SearchRequest = serde_json::from_str(r#"{"query":"x"}"#).unwrap();
    assert_eq!((search.n, search.not.len(), search.filters.within.len()), (10, 0, 0));
    let written = serde_json::to_string(&search).unwrap();
    assert_eq!(written, r#"{"query":"x","n":10,"by":"scene"}"#);
    let status: scened_shared::message::Status = serde_json::from_str(
        r#"{"videos":{"indexed":1,"pending":0,"failed":0,"offline":0},"scenes":1,"model":"m","provider":"none","state":"idle","warnings":[]}"#,
    )
    .unwrap();
    assert_eq!(status.queue.jobs, 0);
}

#[test]
fn the_specification_names_every_method_event_and_error() {
    let page = include_str!("../src/lib.rs");
    for name in method::NAMES {
        assert!(page.contains(&format!("//! | `{name}` |")), "method {name}");
    }
    for event in golden("events").as_array().unwrap() {
        let name = event["event"].as_str().unwrap();
        assert!(page.contains(&format!("//! | `{name}` |")), "event {name}");
    }
    for error in golden("errors").as_array().unwrap() {
        let (kind, code) = (error["data"]["kind"].as_str().unwrap(), &error["code"]);
        assert!(page.contains(&format!("//! | `{kind}` | {code} |")), "error {kind}");
    }
}
