//! How either side of the socket parses bytes. Nothing may panic, and the two readers of lines agree.

use scened_shared::frame::{self, Incoming, LineSplitter, ReadLineError};
use scened_shared::method::{self, Method};
use scened_shared::{hello, message};

/// Small, so that inputs reach the limit.
const MAX_LINE_BYTES: usize = 200;

pub(crate) fn run(data: &[u8]) {
    lines(data);
    for line in data.split(|byte| *byte == b'\n') {
        request(line);
        answer(line);
    }
}

/// Checks that the splitter, fed in pieces, returns the same lines as the reader.
fn lines(data: &[u8]) {
    let Some((size, data)) = data.split_first() else { return };
    let mut reader = data;
    let mut expected = Vec::new();
    let too_long = loop {
        match frame::read_line(&mut reader, MAX_LINE_BYTES) {
            Ok(Some(line)) => expected.push(line),
            Err(ReadLineError::TooLong(_)) => break true,
            Ok(None) | Err(_) => break false,
        }
    };
    let mut splitter = LineSplitter::new(MAX_LINE_BYTES);
    let mut found = Vec::new();
    let mut failed = false;
    'pieces: for piece in data.chunks(usize::from(*size).max(1)) {
        splitter.push(piece);
        while let Some(line) = splitter.next_line() {
            let Ok(line) = line else {
                failed = true;
                break 'pieces;
            };
            found.push(line);
        }
        assert!(splitter.n_buffered_bytes() <= MAX_LINE_BYTES);
    }
    assert_eq!((found, failed), (expected, too_long));
}

fn request(line: &[u8]) {
    let request = match frame::parse_request(line) {
        Ok(request) => request,
        Err((id, error)) => {
            // A refusal is an answer that a client can parse.
            let answer = frame::encode_error(id.as_ref(), &error);
            let understood = frame::parse_incoming(answer.trim_ascii_end());
            assert!(
                matches!(understood, Ok(Incoming::Response { outcome: Err(_), .. })),
                "{understood:?}"
            );
            return;
        }
    };
    let again = frame::encode_request(&request.id, &request.method, &request.params);
    assert_eq!(frame::parse_request(again.trim_ascii_end()).as_ref(), Ok(&request));
    if let Some(greeting) = params::<method::Hello>(&request) {
        drop(hello::check_client(&greeting));
    }
    if let Some(search) = params::<method::Search>(&request) {
        for path in &search.filters.within {
            drop(path.to_path());
        }
    }
    if let Some(similar) = params::<method::Similar>(&request) {
        drop(similar.file.to_path());
    }
    params::<method::Scenes>(&request);
    params::<method::Remove>(&request);
    params::<method::Wait>(&request);
    params::<method::Rescan>(&request);
    params::<method::Pause>(&request);
    params::<method::Why>(&request);
    params::<method::ModelUse>(&request);
    params::<method::Thumbnail>(&request);
}

/// Parses the parameters whatever the method's name is. They fit or not, and those that fit can be sent on.
fn params<M: Method>(request: &frame::Request) -> Option<M::Params> {
    let params = request.clone().params::<M::Params>().ok()?;
    let text = serde_json::to_vec(&params).expect("what was read can be written");
    drop(serde_json::from_slice::<M::Params>(&text).expect("what was written can be read"));
    Some(params)
}

fn answer(line: &[u8]) {
    let params = match frame::parse_incoming(line) {
        Ok(Incoming::Response { outcome: Ok(result), .. }) => result,
        Ok(Incoming::Notification { params, .. }) => params,
        Ok(Incoming::Response { outcome: Err(error), .. }) => {
            let _kind = error.kind();
            return;
        }
        Err(_) => return,
    };
    drop(serde_json::from_value::<message::Event>(params.clone()));
    drop(serde_json::from_value::<message::Status>(params.clone()));
    drop(serde_json::from_value::<message::SearchAnswer>(params.clone()));
    drop(serde_json::from_value::<message::ScenesAnswer>(params.clone()));
    drop(serde_json::from_value::<message::IncidentsAnswer>(params.clone()));
    drop(serde_json::from_value::<message::WhyAnswer>(params.clone()));
    drop(serde_json::from_value::<message::ModelsAnswer>(params.clone()));
    drop(serde_json::from_value::<message::DoctorAnswer>(params.clone()));
    if let Ok(answer) = serde_json::from_value::<message::HelloAnswer>(params) {
        drop(hello::check_server(&answer));
    }
}
