//! File names quoted for readers that would interpret them: a browser, an XML parser. A name may contain anything; for shells use
//! `scened_shared::shell`.

use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use scened_shared::terminal;

/// Characters that a URL's path may contain unescaped: the unreserved ones of RFC 3986, and the slash.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Returns the `file:` URL of an absolute path, byte for byte (RFC 8089).
pub fn file_url(path: &Path) -> String {
    #[cfg(windows)]
    let path = &format!("/{}", path.to_string_lossy().replace('\\', "/"));
    #[cfg(windows)]
    let path = Path::new(path);
    format!("file://{}", percent_encode(path.as_os_str().as_encoded_bytes(), IN_PATH))
}

/// Returns the URL of a moment (Media Fragments 1.0); a reader that supports fragments starts there.
pub fn moment_url(path: &Path, at_ms: u64) -> String {
    format!("{}#t={}", file_url(path), seconds(at_ms))
}

/// Formats seconds with three decimals, as players read them.
pub fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Escapes text for HTML and XML, both in elements and in quoted attributes. Invisible characters, bidirectional controls and characters
/// that XML forbids become escapes.
pub fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in terminal::escape(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    const ODD: &[&[u8]] = &[
        b"/films/new\nline.mp4",
        b"/films/quo\"te's.mp4",
        b"/films/not utf-8 \xff\xfe.mp4",
        b"/films/esc \x1b[31m\x07 $(touch x) `y` \\ !! ; & | * ? [a] {b} ~ #c.mp4",
        "/films/e\u{301} right\u{202e}4pm 日本 🦊.mp4".as_bytes(),
        b"/films/<script>alert(1)</script>%20&amp;.mp4",
        b"/films/at@1:30.mp4",
        b"/films/tab\there \\n 'x'\x7f1.mp4",
    ];

    #[test]
    fn urls_hold_every_byte() {
        let url = |path: &[u8]| file_url(Path::new(OsStr::from_bytes(path)));
        assert_eq!(url(b"/films/a b.mp4"), "file:///films/a%20b.mp4");
        assert_eq!(url(b"/f/caf\xe9#?%41.mp4"), "file:///f/caf%E9%23%3F%2541.mp4");
        assert_eq!(moment_url(Path::new("/a.mp4"), 192_046), "file:///a.mp4#t=192.046");
        for path in ODD {
            let url = url(path);
            assert!(url.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/%:".contains(&b)), "{url}");
            let back: Vec<u8> = percent_encoding::percent_decode_str(url.strip_prefix("file://").unwrap()).collect();
            assert_eq!(back, *path);
        }
    }

    #[test]
    fn markup_is_inert() {
        assert_eq!(
            markup("<a href=\"x\" b='c'>&amp;\n\u{202e}\u{ffff}"),
            "&lt;a href=&quot;x&quot; b=&#39;c&#39;&gt;&amp;amp;\\n\\u{202e}\\u{ffff}"
        );
    }
}
