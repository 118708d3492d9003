//! Whether an error says that content is damaged. One rule for the store, the index, keyframe pictures, copies of settings and videos.
//!
//! What the operating system reports is a fault of the machine: a disk, a mount, a shortage, a right. The content may be whole, and
//! nothing is set aside or blamed for it. Damage is what a checksum, a parser or a length says, and the two numbers by which file
//! systems tell of their own checksums.

use std::error::Error;
use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// Whether an error is about what was read, rather than about the machine that read it.
pub fn is_damage(error: &io::Error) -> bool {
    match os_code(error) {
        Some(code) => is_damage_code(code),
        // Without a number somebody's parser speaks, or a standard library that says why it gave up.
        None => matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other
        ),
    }
}

/// Whether a text that a panic left tells of an error of the operating system that is no damage.
pub fn is_about_machine(text: &str) -> bool {
    // The two ways in which the standard library prints one.
    ["Os { code: ", "(os error "].iter().any(|mark| {
        text.split(mark).skip(1).any(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().is_ok_and(|code| !is_damage_code(code))
        })
    })
}

/// File systems that keep checksums say by these that one was wrong.
fn is_damage_code(code: i32) -> bool {
    let code = Errno::from_raw_os_error(code);
    #[cfg(target_os = "linux")]
    if code == Errno::UCLEAN {
        return true;
    }
    code == Errno::BADMSG
}

/// The number that the operating system gave, however deep it is wrapped.
fn os_code(error: &io::Error) -> Option<i32> {
    if let Some(code) = error.raw_os_error() {
        return Some(code);
    }
    let mut next: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(inner) = next {
        if let Some(code) = inner.downcast_ref::<io::Error>().and_then(os_code) {
            return Some(code);
        }
        next = inner.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest number that Linux gives is 133.
    const LAST_CODE: i32 = 200;

    #[derive(Debug, thiserror::Error)]
    #[error("a layer")]
    struct Layer(#[source] io::Error);

    #[test]
    fn no_number_of_the_system_is_damage_but_those_of_checksums() {
        let damage: Vec<i32> = (1..LAST_CODE)
            .filter(|code| is_damage(&io::Error::from_raw_os_error(*code)))
            .collect();
        assert_eq!(damage, [Errno::BADMSG.raw_os_error(), Errno::UCLEAN.raw_os_error()]);
    }

    #[test]
    fn a_number_is_found_however_deep_it_is() {
        let eio = || io::Error::from_raw_os_error(5);
        assert!(!is_damage(&io::Error::other(eio())));
        assert!(!is_damage(&io::Error::new(ErrorKind::InvalidData, Layer(eio()))));
        assert!(!is_damage(&io::Error::other(Layer(io::Error::other(Layer(eio()))))));
        assert!(is_damage(&io::Error::other(Layer(io::Error::from_raw_os_error(
            Errno::UCLEAN.raw_os_error()
        )))));
    }

    #[test]
    fn what_a_parser_or_a_length_says_is_damage() {
        for error in [
            io::Error::from(ErrorKind::UnexpectedEof),
            io::Error::new(ErrorKind::InvalidData, "bad magic"),
            io::Error::other("a checksum is wrong"),
            io::Error::other(Layer(ErrorKind::UnexpectedEof.into())),
        ] {
            assert!(is_damage(&error), "{error:?}");
        }
        for kind in [
            ErrorKind::StorageFull,
            ErrorKind::TimedOut,
            ErrorKind::OutOfMemory,
            ErrorKind::WouldBlock,
        ] {
            assert!(!is_damage(&kind.into()), "{kind}");
        }
    }

    #[test]
    fn a_panic_over_an_error_of_the_system_tells_of_the_machine() {
        let eagain = io::Error::from_raw_os_error(11);
        assert!(is_about_machine(&format!("failed to spawn thread: {eagain:?}")));
        assert!(is_about_machine(&format!("cannot open: {eagain}")));
        assert!(!is_about_machine(&format!("no block: {:?}", io::Error::from_raw_os_error(74))));
        assert!(!is_about_machine("index out of bounds: the len is 3 but the index is 7"));
        assert!(!is_about_machine("no block: Custom { kind: UnexpectedEof, error: \"read_exact\" }"));
    }
}
