//! A command line split into words, with the quoting of the Desktop Entry Specification. No shell is involved.

/// Splits at spaces. Double quotes group words, and within them a backslash escapes `"`, `` ` ``, `$` and itself.
///
/// **Source**: Desktop Entry Specification 1.5, "The Exec key". A backslash outside quotes is literal, so that a Windows path can be typed.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match sign {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match signs.next().ok_or("a quotation mark is never closed")? {
                        '"' => break,
                        '\\' => match signs.next().ok_or("a quotation mark is never closed")? {
                            sign @ ('"' | '`' | '$' | '\\') => word.push(sign),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_divided_as_desktop_files_quote_them() {
        let check = |line: &str, expected: &[&str]| assert_eq!(split(line).unwrap(), expected, "{line}");
        check("mpv --fs -- %U", &["mpv", "--fs", "--", "%U"]);
        check("  \"my player\"   x ", &["my player", "x"]);
        check(r#""a \"b\" \\ \$ \` \n" c"#, &["a \"b\" \\ $ ` \\n", "c"]);
        check(r"C:\player.exe", &[r"C:\player.exe"]);
        check("a\"\" \"\"", &["a", ""]);
        check("", &[]);
        check("$(touch x) `y` ; z", &["$(touch", "x)", "`y`", ";", "z"]);
        assert!(split("\"open").is_err());
        assert!(split("\"open\\").is_err());
    }
}
