//! Detects whether the machine runs on its battery.

use std::path::Path;

/// Returns true if a battery is discharging and no mains supply is online, according to `/sys/class/power_supply` (Linux). Returns false if
/// that is unknown: a desktop has no supplies listed at all.
pub fn on_battery() -> bool {
    on_battery_by(Path::new("/sys/class/power_supply"))
}

fn on_battery_by(supplies: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(supplies) else { return false };
    let mut discharging = false;
    for entry in entries.flatten() {
        let read = |name: &str| {
            std::fs::read_to_string(entry.path().join(name))
                .map(|text| text.trim().to_owned())
                .unwrap_or_default()
        };
        match read("type").as_str() {
            "Mains" | "USB" if read("online") == "1" => return false,
            // A mouse has a battery too; its scope says so.
            "Battery" if read("scope") != "Device" && read("status") == "Discharging" => discharging = true,
            _ => {}
        }
    }
    discharging
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(supplies: &[(&str, &[(&str, &str)])], expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        for (name, files) in supplies {
            let supply = folder.path().join(name);
            std::fs::create_dir(&supply).unwrap();
            for (file, content) in *files {
                std::fs::write(supply.join(file), format!("{content}\n")).unwrap();
            }
        }
        assert_eq!(on_battery_by(folder.path()), expected, "{supplies:?}");
    }

    #[test]
    fn only_a_discharging_system_battery_without_mains_counts() {
        check(&[], false);
        check(&[("BAT0", &[("type", "Battery"), ("status", "Discharging")])], true);
        check(&[("BAT0", &[("type", "Battery"), ("status", "Charging")])], false);
        check(
            &[
                ("AC", &[("type", "Mains"), ("online", "1")]),
                ("BAT0", &[("type", "Battery"), ("status", "Discharging")]),
            ],
            false,
        );
        check(
            &[
                ("AC", &[("type", "Mains"), ("online", "0")]),
                ("BAT0", &[("type", "Battery"), ("status", "Discharging")]),
            ],
            true,
        );
        check(
            &[("mouse", &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")])],
            false,
        );
    }
}
