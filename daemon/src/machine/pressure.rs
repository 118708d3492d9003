//! Measures how much the programs of this machine wait for memory and for its disks, by Linux's pressure stall information.
//!
//! **Source**: Documentation/accounting/psi.rst of the kernel.

use std::path::Path;

/// The kernel's folder of pressure files; absent on other systems and on kernels without it.
const FOLDER: &str = "/proc/pressure";

/// The pressure at one moment. All zero if the system reports none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Share of the last ten seconds in which some program waited for memory. Percent.
    pub memory_percent: f64,
    /// Share of the last ten seconds in which every program with something to do waited for a disk. Percent.
    pub io_percent: f64,
    /// Total time of such waits since the machine started. Microseconds.
    pub io_total_us: u64,
}

impl Pressure {
    pub fn now() -> Self {
        Self::read(Path::new(FOLDER))
    }

    fn read(folder: &Path) -> Self {
        let read = |name: &str, kind: &str| {
            let text = std::fs::read_to_string(folder.join(name)).ok()?;
            parse(&text, kind)
        };
        let (memory_percent, _) = read("memory", "some").unwrap_or_default();
        let (io_percent, io_total_us) = read("io", "full").unwrap_or_default();
        Self {
            memory_percent,
            io_percent,
            io_total_us,
        }
    }
}

/// Returns `avg10` and `total` of the line that begins with `kind`.
fn parse(text: &str, kind: &str) -> Option<(f64, u64)> {
    let line = text.lines().find(|line| line.split_ascii_whitespace().next() == Some(kind))?;
    let value = |name: &str| {
        line.split_ascii_whitespace()
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    Some((value("avg10")?.parse().ok()?, value("total")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_when_some_wait_and_disks_when_all_do() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, some: &str, full: &str| {
            let text = format!("some avg10={some} avg60=1.00 avg300=2.00 total=33\nfull avg10={full} avg60=3.00 avg300=4.00 total=44\n");
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        assert_eq!(Pressure::read(folder.path()), Pressure::default());
        put("memory", "12.50", "0.00");
        put("io", "99.00", "31.25");
        let expected = Pressure {
            memory_percent: 12.5,
            io_percent: 31.25,
            io_total_us: 44,
        };
        assert_eq!(Pressure::read(folder.path()), expected);
        std::fs::write(folder.path().join("io"), "full avg10=much\n").unwrap();
        let memory_alone = Pressure {
            memory_percent: 12.5,
            ..Pressure::default()
        };
        assert_eq!(Pressure::read(folder.path()), memory_alone);
    }
}
