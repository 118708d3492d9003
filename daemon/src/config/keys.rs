//! The keys of a configuration and their allowed values: one table for the checks, the messages and the reference.

use std::fmt;

use scened_common::providers::PROVIDERS;

/// One key of the file.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) allows: Allows,
}

/// The values that a key allows. `Display` completes "must be …".
pub(super) enum Allows {
    /// A whole number within `min..=max`; `unit` may be empty.
    Whole { unit: &'static str, min: u64, max: u64 },
    /// `true` or `false`.
    Switch,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list, not empty, of these texts.
    Choices(&'static [&'static str]),
    /// A text; the string describes it.
    Text(&'static str),
    /// A list of texts; the string describes it.
    List(&'static str),
}

impl fmt::Display for Allows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { unit: "", min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Whole { unit, min, max } => write!(f, "a whole number of {unit} from {min} to {max}"),
            Self::Switch => f.write_str("true or false"),
            Self::Choice(choices) => f.write_str(&alternatives(choices)),
            Self::Choices(choices) => write!(f, "a list of one or more of {}", alternatives(choices)),
            Self::Text(what) | Self::List(what) => f.write_str(what),
        }
    }
}

/// `"a", "b" or "c"`
fn alternatives(choices: &[&str]) -> String {
    let quoted: Vec<_> = choices.iter().map(|c| format!("{c:?}")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

const DAY_SECONDS: u64 = 24 * 60 * 60;
const WEEK_MINUTES: u64 = 7 * 24 * 60;

/// All keys, in the order of `default.toml`.
pub(super) const KEYS: &[Key] = &[
    key("folders", Allows::List("a list of absolute paths (`~/` is the home folder)")),
    key("extensions", Allows::List("a list of file name endings, like \"mp4\"")),
    key("ignore", Allows::List("a list of globs, like \"**/raw/**\"")),
    key("hidden", Allows::Switch),
    key("follow-symlinks", Allows::Switch),
    key("settle-seconds", whole("seconds", 0, 3600)),
    key("rescan-minutes", whole("minutes", 1, WEEK_MINUTES)),
    key("model", Allows::Text("the name of a model, or the absolute path of its folder")),
    key("crop", Allows::Choice(&["auto", "reference", "squash", "letterbox", "two"])),
    key("model-idle-seconds", whole("seconds", 0, DAY_SECONDS)),
    key("providers", Allows::Choices(PROVIDERS)),
    key("gpu-memory-reserve-mib", whole("MiB", 0, 1 << 20)),
    key("min-free-mib", whole("MiB", 0, 1 << 20)),
    key("threads", whole("", 0, 256)),
    key("on-battery", Allows::Choice(&["pause", "run"])),
    key("pressure", whole("percent", 0, 100)),
    key("busy", whole("percent", 0, 100)),
    key(
        "log",
        Allows::Text("\"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or filters like \"info,scened::watch=debug\""),
    ),
    key("detector", Allows::Choice(&["shot", "content", "adaptive"])),
    key("scene-mode", Allows::Choice(&["fast", "exact"])),
    key("max-scene-seconds", whole("seconds", 2, 3600)),
    key("keyframes", Allows::Switch),
    key(
        "hardware-decoding",
        Allows::Choice(&["none", "auto", "vaapi", "cuda", "videotoolbox"]),
    ),
    key("allow-unsandboxed", Allows::Switch),
    key("extra-formats", Allows::List("a list of names of FFmpeg's demuxers, like \"nut\"")),
    key(
        "extra-codecs",
        Allows::List("a list of names of FFmpeg's decoders, like \"cinepak\""),
    ),
    key("onnxruntime", Allows::Text("the absolute path of a library, or \"\"")),
];

const fn key(name: &'static str, allows: Allows) -> Key {
    Key { name, allows }
}

const fn whole(unit: &'static str, min: u64, max: u64) -> Allows {
    Allows::Whole { unit, min, max }
}

/// Returns the key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.name == name)
}

/// Returns the known key that `name` was probably meant to be.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let folded = name.to_lowercase().replace(['_', ' '], "-");
    let (distance, key) = KEYS.iter().map(|k| (edit_distance(&folded, k.name), k.name)).min()?;
    (distance <= 1 + key.len() / 5).then_some(key)
}

/// Returns the Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
