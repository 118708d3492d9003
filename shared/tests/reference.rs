//! Checks that `docs/protocol.md` matches the documentation of `src/lib.rs`; the page is for people who do not read Rust.

use std::path::Path;

const NOTE: &str = "<!-- Made from the documentation of shared/src/lib.rs; a test compares them. Write it anew with
     SCENED_WRITE_REFERENCE=1 cargo test -p scened-shared --test reference -->";

/// Renders the module's documentation as a page: headings one level down, no links into the code, no hidden lines of examples.
fn page() -> String {
    let source = include_str!("../src/lib.rs");
    let documentation = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut page = format!("{NOTE}\n\n# Protocol\n\n");
    let mut language = None;
    for line in documentation.map(|line| line.strip_prefix(' ').unwrap_or(line)) {
        let fence = line.strip_prefix("```");
        match (language, fence) {
            (None, Some(opened)) => language = Some(opened),
            (Some(_), Some(_)) => language = None,
            // rustdoc hides these lines.
            (Some("no_run"), None) if line.starts_with("# ") => continue,
            _ => {}
        }
        let line = match (language, fence) {
            (Some("no_run"), Some(_)) => "```rust".to_owned(),
            (None, None) if line.starts_with('#') => format!("#{line}"),
            (None, None) => line.replace("[`", "`").replace("`]", "`"),
            _ => line.to_owned(),
        };
        page.push_str(&line);
        page.push('\n');
    }
    page
}

#[test]
fn protocol_page_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let page = page();
    if std::env::var_os("SCENED_WRITE_REFERENCE").is_some() {
        std::fs::write(&file, &page).expect("docs/ may be written");
    }
    let found = std::fs::read_to_string(&file).expect("docs/protocol.md is there");
    assert!(
        found == page,
        "docs/protocol.md is not what shared/src/lib.rs says; write it anew with SCENED_WRITE_REFERENCE=1 cargo test -p scened-shared --test reference"
    );
    assert!(page.contains("## A session with `socat`") && !page.contains("[`"), "{page}");
}
