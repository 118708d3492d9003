//! The reference of the configuration. It is made from `default.toml` and the table of keys, so that it cannot become outdated.

use std::fmt::Write;

use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::DEFAULT_TOML;
use super::keys::{Allows, KEYS};

/// Returns `docs/config.md`: every key with its effect, its default and its allowed values.
pub fn reference_page() -> String {
    let mut page = String::from(
        "<!-- Made from daemon/src/config/default.toml and keys.rs; a test compares them. Write it anew with\n     \
         SCENED_WRITE_REFERENCE=1 cargo test -p scened --lib reference_page_is_current -->\n\n\
         # config.toml\n\n",
    );
    write!(page, "{INTRODUCTION}\n\n```toml\n{EXAMPLE}\n```\n").expect("a String takes everything");
    for key in KEYS {
        let (text, default) = described(key.name);
        write!(
            page,
            "\n## `{}`\n\n{text}\n\n{}\n\nDefault:\n\n```toml\n{default}\n```\n",
            key.name,
            allowed(&key.allows)
        )
        .expect("a String takes everything");
    }
    page
}

const INTRODUCTION: &str =
    "`$XDG_CONFIG_HOME/scened/config.toml` (`~/.config/scened/config.toml`), or the file named by `--config FILE` or `SCENED_CONFIG`.
A file that does not exist means the defaults.
Unknown keys, wrong types and values out of range are errors, reported with file and line; `scened --check-config` only checks.
A flag takes precedence over the environment, and the environment over the file.";

const EXAMPLE: &str = "folders = [\"~/Videos\", \"/mnt/films\"]
on-battery = \"run\"";

/// Returns the same as a manual page, `scened-config(5)`.
pub fn manual_page() -> String {
    let mut page = Roff::new();
    page.control("TH", ["scened-config", "5", concat!("scened ", env!("CARGO_PKG_VERSION"))]);
    page.control("SH", ["NAME"]);
    page.text([roman("scened-config - the configuration of scened, config.toml")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text(marked(INTRODUCTION));
    page.control("SH", ["EXAMPLE"]);
    verbatim(&mut page, EXAMPLE);
    page.control("SH", ["KEYS"]);
    for key in KEYS {
        let (text, default) = described(key.name);
        page.control("SS", [key.name]);
        page.text(marked(&text));
        page.control("PP", []);
        page.text(marked(&allowed(&key.allows)));
        page.control("PP", []);
        page.text([roman("Default:")]);
        verbatim(&mut page, &default);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("scened"), roman("(1), "), bold("scenectl"), roman("(1)")]);
    page.render()
}

/// Returns text with the parts between backticks in bold.
fn marked(text: &str) -> Vec<Inline> {
    let turns = text.split('`').enumerate();
    turns.map(|(n, part)| if n % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

/// Writes lines unchanged, but indented.
fn verbatim(page: &mut Roff, text: &str) {
    page.control("PP", []);
    page.control("RS", ["4"]);
    page.control("nf", []);
    for line in text.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    page.control("RE", []);
}

/// Returns the allowed values of a key, as a sentence.
fn allowed(allows: &Allows) -> String {
    let text = allows.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase()).into_iter();
    let mut sentence: String = first.chain(letters).collect();
    sentence.push('.');
    sentence
}

/// Returns the comment above `key` in `default.toml`, and the key with its default as written there.
fn described(key: &str) -> (String, String) {
    let start = format!("{key} = ");
    let block = DEFAULT_TOML
        .split("\n\n")
        .find(|block| block.lines().any(|line| line.starts_with(&start)))
        .expect("default.toml has every key in a paragraph of its own");
    let comment: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let value: Vec<_> = block.lines().filter(|line| !line.starts_with('#')).collect();
    (comment.join("\n"), value.join("\n"))
}
