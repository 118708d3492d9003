//! The reference of the configuration, made from `default.toml` and the table of keys, so that it cannot go stale.

use std::fmt::Write;

use super::DEFAULT_TOML;
use super::keys::KEYS;

/// `docs/config.md`: every key with what it does, its default and what it allows.
pub fn reference_page() -> String {
    let mut page = String::from(
        "<!-- Made from daemon/src/config/default.toml and keys.rs; a test compares them. Write it anew with\n     \
         SCENED_WRITE_REFERENCE=1 cargo test -p scened --lib reference_page_is_current -->\n\n\
         # config.toml\n\n\
         `$XDG_CONFIG_HOME/scened/config.toml` (`~/.config/scened/config.toml`), or the file named by `--config FILE` or `SCENED_CONFIG`.\n\
         A file that does not exist means the defaults.\n\
         Unknown keys, wrong types and values out of range are refused with file and line; `scened --check-config` only looks.\n\
         A flag wins over the environment, which wins over the file.\n\n\
         ```toml\n\
         folders = [\"~/Videos\", \"/mnt/films\"]\n\
         on-battery = \"run\"\n\
         ```\n",
    );
    for key in KEYS {
        let (text, default) = described(key.name);
        let allows = key.allows.to_string();
        let mut letters = allows.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase()).into_iter();
        let sentence: String = first.chain(letters).collect();
        write!(
            page,
            "\n## `{}`\n\n{text}\n\n{sentence}.\n\nDefault:\n\n```toml\n{default}\n```\n",
            key.name
        )
        .expect("a String takes everything");
    }
    page
}

/// The comment above `key` in `default.toml`, and the key with its default as written there.
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
