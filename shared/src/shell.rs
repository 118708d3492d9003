//! Quotes words that a user may paste into a shell or run. File names are arbitrary, and any shell may read them.

use std::ffi::OsStr;
use std::fmt::Write as _;

use crate::terminal;

/// Returns a word that dash, bash, zsh, fish, ksh and busybox read as the same bytes: unquoted if that is safe, else in quotes.
///
/// These shells share no quotes with escapes: dash does not know `$'…'`, and fish interprets a backslash within `'…'`. So a quote or a
/// backslash is written outside of quotes, where all agree. Characters that a terminal might obey, also during a paste, and bytes that are
/// not UTF-8 are written by `printf`, as `\ooo`. In that case `printf` writes the whole word, because fish 3.6 misreads quotes that follow
/// on `"$(…)"`.
///
/// Returns `None` for a word that ends in a line break, because every shell strips final line breaks from a command's output.
pub fn word(of: impl AsRef<OsStr>) -> Option<String> {
    let bytes = of.as_ref().as_encoded_bytes();
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(is_plain) && !text.starts_with(['-', '=', '%']) => Some(text.to_owned()),
        Ok(text) if !text.chars().any(terminal::is_unsafe) => Some(quoted(text)),
        _ if bytes.ends_with(b"\n") => None,
        _ => Some(printed(bytes)),
    }
}

/// Decides whether a character has no special meaning in any shell, except at the beginning of a word.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "/._-@:+,%=".contains(c)
}

fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    for part in text.split_inclusive(['\'', '\\']) {
        let safe = part.trim_end_matches(['\'', '\\']);
        if !safe.is_empty() {
            word.extend(["'", safe, "'"]);
        }
        if safe.len() < part.len() {
            word.extend(["\\", &part[safe.len()..]]);
        }
    }
    if word.is_empty() { "''".to_owned() } else { word }
}

fn printed(bytes: &[u8]) -> String {
    let mut word = "\"$(printf '".to_owned();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // printf would read a leading dash as an option, and it interprets a per cent sign anywhere.
            if (is_plain(c) || c == ' ') && c != '-' && c != '%' {
                word.push(c);
            } else {
                octal(&mut word, c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        octal(&mut word, chunk.invalid());
    }
    word.push_str("')\"");
    word
}

fn octal(to: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(to, "\\{byte:03o}").expect("a string takes any text");
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;
    use std::process::{Command, Stdio};

    /// Each shell with the options that make it read only the script.
    const SHELLS: &[&[&str]] = &[
        &["dash"],
        &["bash", "--norc"],
        &["bash", "--posix"],
        &["zsh", "-f"],
        &["zsh", "-f", "-o", "extendedglob"],
        &["fish", "--no-config"],
        &["busybox", "sh"],
        &["ksh"],
        &["mksh"],
        &["sh"],
    ];

    const ODD: &[&[u8]] = &[
        b"/films/q\x01'$(touch PWN) #.mp4@0:03:12.0",
        b"/films/q\x01\\'$(touch PWN) #.mp4",
        b"/films/q\x01\\'; touch PWN; '.mp4",
        b"/films/q\xff`touch PWN`'\"$(touch PWN)\"'.mp4",
        b"/films/\n\ntouch PWN\n\n.mp4",
        b"/films/(touch PWN)\\'(touch PWN)'$(touch PWN)\x1b$ (touch PWN).mp4",
        b"/films/end\\",
        b"/films/end\\'",
        b"\\\\'\\'\\",
        b"/films/new\nline.mp4",
        b"/films/quo\"te's.mp4",
        b"/films/not utf-8 \xff\xfe.mp4",
        b"/films/esc \x1b[31m\x07 $(touch PWN) `y` \\ !! ; & | * ? [a] {b,c} ~ #c ^ < > ( ) %s %% \\n \\c.mp4",
        b"/films/plain $(touch PWN) `y` \\ !! ; & | * ? [a] {b,c} ~ #c ^ < > ( ) %s %% \\n \\c.mp4",
        "/films/e\u{301} right\u{202e}4pm 日本 🦊.mp4".as_bytes(),
        b"~root/x.mp4",
        b"-rf\x01",
        b"%self",
        b"=ls",
        b"*",
        b"100%\x01%d",
        b"",
        b" ",
        b"/films/tab\there \\n 'x'\x7f1.mp4",
    ];

    fn samples() -> Vec<Vec<u8>> {
        let each = (1..=255_u8).flat_map(|byte| [vec![byte], vec![byte, b'z'], vec![b'a', byte, b'\'', byte, b'.']]);
        let mut random: u64 = 0x5ce9_edd0_0000_0001;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let signs = b"'\"\\$`() \n\t\x01\x7f\xff\xc3#~!*{},;&|<>-[]?^=%a0";
        let mixed: Vec<Vec<u8>> = (0..100)
            .map(|_| (0..20).map(|_| signs[next() as usize % signs.len()]).collect())
            .collect();
        ODD.iter().map(|odd| odd.to_vec()).chain(each).chain(mixed).collect()
    }

    #[test]
    fn every_shell_that_is_here_reads_the_word_that_was_meant() {
        let samples: Vec<(Vec<u8>, String)> = samples()
            .into_iter()
            .filter_map(|bytes| Some((word(OsStr::from_bytes(&bytes))?, bytes)))
            .map(|(word, bytes)| (bytes, word))
            .collect();
        for (bytes, word) in &samples {
            assert!(!word.chars().any(terminal::is_unsafe), "{word:?} for {bytes:?}");
        }
        let script: String = samples
            .iter()
            .fold(String::new(), |script, (_, word)| script + "printf '%s\\0' " + word + "\n");
        for shell in SHELLS {
            let folder = tempfile::tempdir().unwrap();
            let ran = Command::new(shell[0])
                .args(&shell[1..])
                .args(["-c", &script])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .output();
            let output = match ran {
                Ok(output) => output,
                Err(error) => {
                    eprintln!("words for {}: NOT TESTED HERE: {error}", shell.join(" "));
                    continue;
                }
            };
            let read: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
            for ((bytes, word), read) in samples.iter().zip(&read) {
                assert_eq!(
                    *read,
                    bytes.as_slice(),
                    "{shell:?} reads {word}; {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            assert_eq!(
                read.len(),
                samples.len() + 1,
                "{shell:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(
                std::fs::read_dir(folder.path()).unwrap().count(),
                0,
                "{shell:?} ran what a name holds"
            );
        }
    }

    #[test]
    fn what_needs_no_quotes_has_none() {
        for (bytes, shown) in [
            ("/films/at@1:30.mp4@0:03:12.0", "/films/at@1:30.mp4@0:03:12.0"),
            ("/Füße/日本.mp4", "/Füße/日本.mp4"),
            ("/a b.mp4", "'/a b.mp4'"),
            ("/it's.mp4", "'/it'\\''s.mp4'"),
            ("a\\b", "'a'\\\\'b'"),
            ("-rf", "'-rf'"),
            ("", "''"),
            ("/q\u{1}'$(x).mp4", "\"$(printf '/q\\001\\047\\044\\050x\\051.mp4')\""),
        ] {
            assert_eq!(word(bytes).as_deref(), Some(shown));
        }
    }

    #[test]
    fn what_no_shell_would_read_is_not_offered() {
        assert_eq!(word("/films/a\n"), None);
        assert_eq!(word("\n"), None);
        assert!(word("/films/a\n@1").is_some());
    }
}
