//! Which FFmpeg decodes, and whether its release is known to be open to attack.

use scened_common::media::extras::Extras;

/// The decoder that the newest known bug is in.
const MAGICYUV: &str = "magicyuv";

/// What is to be said of an FFmpeg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    pub what: String,
    /// What protects, or what to do.
    pub hint: String,
    /// Nothing but an update protects.
    pub is_open: bool,
}

/// The release named in the worker's version line, like `5.1.9-0+deb12u1`.
pub fn release(worker_version: &str) -> Option<&str> {
    let (_, after) = worker_version.split_once("FFmpeg ")?;
    Some(after.split(',').next().unwrap_or(after).trim())
}

/// What is wrong with this FFmpeg, if its release tells.
///
/// **Source**: CVE-2026-8461 (June 2026), a heap overflow in the MagicYUV decoder that a video in a watched folder reaches; mended in 7.1.5,
/// 8.0.3 and 8.1.2, and in no older line by FFmpeg itself.
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

/// `None` where the version is no release's, as that of a build from the repository.
fn is_mended(release: &str) -> Option<bool> {
    let version = release.trim_start_matches(['n', 'v']);
    // Behind the numbers comes a distribution's own: `7.1-3ubuntu9` is 7.1.0.
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
