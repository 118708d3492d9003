//! Body of the fuzz target `pipe`.

use super::{read_frame, read_hello, write_frame};

/// Reads frames from untrusted bytes, writes every frame that it read, and reads it again.
pub fn run(data: &[u8]) {
    drop(read_hello(&mut &*data, "media", 1));
    let mut from = data;
    while let Ok(Some(frame)) = read_frame(&mut from, 1 << 20) {
        let Ok(header) = frame.header::<serde_json::Value>() else {
            continue;
        };
        let mut again = Vec::new();
        if write_frame(&mut again, frame.kind, &header, &frame.body).is_ok() {
            let read = read_frame(&mut &*again, usize::MAX)
                .expect("what was written is whole")
                .expect("it is there");
            assert_eq!((read.kind, &read.body), (frame.kind, &frame.body));
        }
    }
}
