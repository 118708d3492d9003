//! The FFmpeg that decodes, and whether its release has a known vulnerability.

use scened_common::media::extras::Extras;

/// The decoder with the most recent known bug.
const MAGICYUV: &str = "magicyuv";

/// A warning about an FFmpeg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    pub what: String,
    /// The existing protection, or what to do.
    pub hint: String,
    /// Only an update protects.
    pub is_open: bool,
}

/// Returns the release named in the worker's version line, like `5.1.9-0+deb12u1`.
pub fn release(worker_version: &str) -> Option<&str> {
    let (_, after) = worker_version.split_once("FFmpeg ")?;
    Some(after.split(',').next().unwrap_or(after).trim())
}

/// Returns the vulnerability of this FFmpeg, as far as its release shows.
///
/// **Source**: CVE-2026-8461 (June 2026), a heap overflow in the MagicYUV decoder that a video in a watched folder can trigger. Fixed in
/// 7.1.5, 8.0.3 and 8.1.2; FFmpeg itself fixed it in no older line.
pub fn concern(release: &str, extras: &Extras) -> Option<Concern> {
    let what = match is_mended(release) {
        Some(true) => return None,
        Some(false) => format!(
            "FFmpeg {release} is older than the releases that mended CVE-2026-8461 (7.1.5, 8.0.3, 8.1.2), unless your distribution mended it"
        ),
        None => format!("FFmpeg {release} does not say which release it is; CVE-2026-8461 is mended in 7.1.5, 8.0.3, 8.1.2 and later"),
    };
    let is_open = extras.codecs.iter().any(|codec| codec == MAGICYUV);
    let hint = if is_open {
        format!("update FFmpeg, or remove {MAGICYUV:?} from extra-codecs: a crafted video can take over its decoder")
    } else {
        format!(
            "the decoder in question ({MAGICYUV}) is not used, and decoders work in a sandbox; update FFmpeg when your distribution does"
        )
    };
    Some(Concern { what, hint, is_open })
}

/// Returns `None` if the version is not a release, like that of a build from the repository.
fn is_mended(release: &str) -> Option<bool> {
    let version = release.trim_start_matches(['n', 'v']);
    // A distribution's own suffix follows the numbers: `7.1-3ubuntu9` is 7.1.0.
    let length = version.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(version.len());
    let mut numbers = version[..length].split('.').map_while(|number| number.parse::<u32>().ok());
    let (major, minor) = (numbers.next()?, numbers.next()?);
    let patch = numbers.next().unwrap_or(0);
    Some(match (major, minor) {
        (7, 1) => patch >= 5,
        (8, 0) => patch >= 3,
        (8, 1) => patch >= 2,
        (8, _) => true,
        (major, _) => major > 8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_told_apart() {
        for (release, expected) in [
            ("5.1.9-0+deb12u1", Some(false)),
            ("4.4.2-0ubuntu0.22.04.1", Some(false)),
            ("6.1.1-3ubuntu5", Some(false)),
            ("7.0.9", Some(false)),
            ("7.1", Some(false)),
            ("7.1-3ubuntu9", Some(false)),
            ("7.1.4", Some(false)),
            ("7.1.5-0+deb13u1", Some(true)),
            ("n7.1.5", Some(true)),
            ("8.0.2", Some(false)),
            ("8.0.3", Some(true)),
            ("8.1", Some(false)),
            ("8.1.2", Some(true)),
            ("8.2", Some(true)),
            ("9.0.1", Some(true)),
            ("N-118448-g43be8d0728", None),
            ("git-2026-03-01-abc", None),
            ("", None),
        ] {
            assert_eq!(is_mended(release), expected, "{release:?}");
        }
    }

    #[test]
    fn what_protects_is_said_and_what_does_not() {
        let line = "scened-worker 0.1.0, FFmpeg 5.1.9-0+deb12u1, libavcodec 59.37.100";
        let release = release(line).unwrap();
        assert_eq!(release, "5.1.9-0+deb12u1");
        let closed = concern(release, &Extras::default()).unwrap();
        assert!(!closed.is_open && closed.hint.contains("is not used"), "{closed:?}");
        let open = Extras {
            codecs: vec![MAGICYUV.to_owned()],
            ..Extras::default()
        };
        let open = concern(release, &open).unwrap();
        assert!(open.is_open && open.hint.contains("extra-codecs"), "{open:?}");
        assert_eq!(concern("8.1.2", &Extras::default()), None);
        assert!(concern("N-1-gabc", &Extras::default()).unwrap().what.contains("does not say"));
    }
}
