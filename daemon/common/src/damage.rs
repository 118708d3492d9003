//! Decides whether an error means that content is damaged. The store, the index, keyframe pictures, copies of settings and videos all use
//! this one rule.
//!
//! An error from the operating system is a fault of the machine: a disk, a mount, a shortage, a missing permission. The content may still
//! be intact, so it is not quarantined or blamed. Damage is what a checksum, a parser or a length check reports. Two error codes count as
//! damage too: file systems use them to report a failed checksum of their own.

use std::error::Error;
use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// Decides whether an error is about the content that was read rather than the machine that read it.
pub fn is_damage(error: &io::Error) -> bool {
    match os_code(error) {
        Some(code) => is_damage_code(code),
        // An error without a code comes from a parser, or from the standard library when it gives up.
        None => matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other
        ),
    }
}

/// Decides whether a panic's message quotes an error of the operating system that does not mean damage.
pub fn is_about_machine(text: &str) -> bool {
    // The two formats in which the standard library prints such an error.
    ["Os { code: ", "(os error "].iter().any(|mark| {
        text.split(mark).skip(1).any(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().is_ok_and(|code| !is_damage_code(code))
        })
    })
}

/// Decides whether the code is one that file systems with checksums use to report a wrong one.
fn is_damage_code(code: i32) -> bool {
    let code = Errno::from_raw_os_error(code);
    #[cfg(target_os = "linux")]
    if code == Errno::UCLEAN {
        return true;
    }
    code == Errno::BADMSG
}

/// Returns the operating system's error code, however deep it is wrapped.
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

    /// The largest code that Linux uses is 133.
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
