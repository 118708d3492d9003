//! How much space must stay free on the disk of the data folder: the daemon's own rule, which also pauses indexing.

use std::path::Path;

/// The daemon's default.
const DEFAULT_MIB: u64 = 256;

/// Reads `min-free-mib` from the daemon's configuration file, in bytes. If the file cannot be read, the default applies; the daemon reports
/// that error itself.
pub fn kept_bytes(config_file: Option<&Path>) -> u64 {
    let text = config_file.and_then(read);
    text.as_deref().and_then(min_free_mib).unwrap_or(DEFAULT_MIB) << 20
}

fn read(path: &Path) -> Option<String> {
    // Reading anything but a regular file might never end.
    path.is_file().then(|| std::fs::read_to_string(path).ok())?
}

fn min_free_mib(text: &str) -> Option<u64> {
    let mib = toml::from_str::<toml::Table>(text).ok()?.get("min-free-mib")?.as_integer()?;
    u64::try_from(mib).ok().filter(|mib| *mib <= 1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemons_rule_holds_here_as_well() {
        let default = include_str!("../../../daemon/src/config/default.toml");
        assert_eq!(min_free_mib(default), Some(DEFAULT_MIB));
        assert_eq!(min_free_mib("folders = []\nmin-free-mib = 0"), Some(0));
        for odd in [
            "",
            "min-free-mib = -1",
            "min-free-mib = \"1\"",
            "min-free-mib = 99999999",
            "no toml",
        ] {
            assert_eq!(min_free_mib(odd), None, "{odd}");
        }
    }
}
