//! Checks of the decoder: FFmpeg's release, its formats and codecs, and the sandbox.

use scened_common::media::extras::Extras;

use super::Finding;
use crate::config::Config;
use crate::media::Hardware;
use crate::media::ffmpeg::{self, Concern};

/// The sandbox of the process that decodes videos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// There is no worker to ask.
    Unknown,
    /// It works; the text names its parts.
    Stands(String),
    /// Videos are decoded without it, for this reason.
    Missing(String),
    /// Videos are not decoded, for this reason.
    Refused(String),
}

impl Sandbox {
    /// `tried` is the worker's report, if there is a worker.
    pub fn of(tried: Option<Result<String, String>>, config: &Config) -> Self {
        match tried {
            None => Self::Unknown,
            Some(Ok(_)) if config.hardware_decoding != Hardware::None && config.allow_unsandboxed => Self::Missing(format!(
                "a graphics driver works outside it (hardware-decoding = {:?})",
                config.hardware_decoding.name()
            )),
            Some(Ok(how)) => Self::Stands(how),
            Some(Err(reason)) if config.allow_unsandboxed || !cfg!(target_os = "linux") => Self::Missing(reason),
            Some(Err(reason)) => Self::Refused(reason),
        }
    }

    /// Returns the warning for `status`, if any.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Unknown | Self::Stands(_) => None,
            Self::Missing(reason) => Some(format!("videos are decoded without a sandbox: {reason}")),
            Self::Refused(reason) => Some(format!("no video is decoded without a sandbox: {reason}")),
        }
    }

    pub(super) fn finding(&self) -> Option<Finding> {
        match self {
            Self::Unknown => None,
            Self::Stands(how) => Some(Finding::ok("sandbox", how.clone())),
            Self::Missing(_) => Some(Finding::warn(
                "sandbox",
                self.warning()?,
                "a hostile video could read your files; with hardware-decoding = \"none\" and allow-unsandboxed = false it cannot on Linux",
            )),
            Self::Refused(_) => Some(Finding::fail(
                "sandbox",
                self.warning()?,
                "use a kernel with Landlock and seccomp (in a container: allow them), or set allow-unsandboxed = true in config.toml",
            )),
        }
    }
}

/// The formats and codecs that videos may have, and the FFmpeg release that decodes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codecs {
    /// FFmpeg's release, if a worker reports it.
    release: Option<String>,
    concern: Option<Concern>,
    /// Formats and codecs that the configuration adds to the worker's own lists.
    extras: Extras,
    /// Why FFmpeg does not have all of these.
    wrong: Option<String>,
}

impl Codecs {
    /// `ask` asks the worker whether it accepts the additions.
    pub fn of(worker_version: Option<&str>, ask: impl FnOnce(&Extras) -> Result<String, String>, extras: &Extras) -> Self {
        let release = worker_version.and_then(ffmpeg::release).map(str::to_owned);
        Self {
            concern: release.as_deref().and_then(|release| ffmpeg::concern(release, extras)),
            // Without additions nothing can be wrong, and asking would start a process at every start.
            wrong: (!extras.is_empty() && worker_version.is_some())
                .then(|| ask(extras).err())
                .flatten(),
            release,
            extras: extras.clone(),
        }
    }

    /// Returns the warnings for `status`: only what a user can correct.
    pub fn warnings(&self) -> Vec<String> {
        let open = self.concern.as_ref().filter(|concern| concern.is_open);
        let open = open.map(|Concern { what, hint, .. }| format!("{what}: {hint}"));
        self.wrong.iter().cloned().chain(open).collect()
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let Some(release) = &self.release else { return Vec::new() };
        let mut findings = vec![match &self.concern {
            None => Finding::ok("ffmpeg", release.clone()),
            Some(Concern { what, hint, .. }) => Finding::warn("ffmpeg", what.clone(), hint.clone()),
        }];
        if let Some(reason) = &self.wrong {
            findings.push(Finding::fail(
                "codecs",
                reason.clone(),
                "correct extra-formats and extra-codecs in config.toml; wrong names there are ignored",
            ));
        } else if !self.extras.is_empty() {
            let added = [&self.extras.formats[..], &self.extras.codecs[..]].concat().join(", ");
            findings.push(Finding::ok("codecs", format!("besides the common ones: {added}")));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::doctor::Health;

    #[test]
    fn doctor_tells_ffmpegs_release_and_what_is_added_to_the_lists() {
        let old = Some("scened-worker 0.1.0, FFmpeg 5.1.9, libavcodec 59.37.100");
        let new = Some("scened-worker 0.1.0, FFmpeg 8.1.2, libavcodec 62.0.0");
        let extras = |codec: &str| Extras {
            codecs: vec![codec.to_owned()],
            ..Extras::default()
        };
        let knows = |_: &Extras| Ok(String::new());
        let asked = |_: &Extras| -> Result<String, String> { panic!("nothing is added, so nothing is asked") };
        for (worker, extras, expected, n_warnings) in [
            (new, Extras::default(), vec![("ffmpeg", Health::Ok)], 0),
            (old, Extras::default(), vec![("ffmpeg", Health::Warn)], 0),
            (old, extras("magicyuv"), vec![("ffmpeg", Health::Warn), ("codecs", Health::Ok)], 1),
            (new, extras("magicyuv"), vec![("ffmpeg", Health::Ok), ("codecs", Health::Ok)], 0),
            (None, extras("magicyuv"), vec![], 0),
        ] {
            let codecs = if extras.is_empty() {
                Codecs::of(worker, asked, &extras)
            } else {
                Codecs::of(worker, knows, &extras)
            };
            let found: Vec<_> = codecs.findings().iter().map(|finding| (finding.name, finding.state)).collect();
            assert_eq!(found, expected, "{codecs:?}");
            assert_eq!(codecs.warnings().len(), n_warnings, "{codecs:?}");
        }
        let wrong = Codecs::of(new, |_| Err("no decoder named \"x\"".to_owned()), &extras("x"));
        assert_eq!(wrong.findings()[1].state, Health::Fail);
        assert_eq!(wrong.warnings(), ["no decoder named \"x\""]);
    }

    #[test]
    fn doctor_and_status_say_what_holds_the_decoder() {
        let config = |text| Config::parse(text, std::path::Path::new("config.toml")).expect("it is valid").0;
        let strict = config("");
        let lenient = config("allow-unsandboxed = true");
        let on_card = config("allow-unsandboxed = true\nhardware-decoding = \"auto\"");
        let stands = || Some(Ok("Landlock".to_owned()));
        let fails = || Some(Err("no Landlock".to_owned()));
        let without = if cfg!(target_os = "linux") { Health::Fail } else { Health::Warn };
        for (tried, config, expected, says) in [
            (stands(), &strict, Health::Ok, "Landlock"),
            (stands(), &lenient, Health::Ok, "Landlock"),
            (stands(), &on_card, Health::Warn, "graphics driver"),
            (fails(), &strict, without, "no Landlock"),
            (fails(), &lenient, Health::Warn, "no Landlock"),
        ] {
            let sandbox = Sandbox::of(tried, config);
            let finding = sandbox.finding().expect("a worker answered");
            assert_eq!(finding.state, expected, "{sandbox:?}");
            assert!(finding.detail.contains(says), "{}", finding.detail);
            assert_eq!(sandbox.warning().is_none(), expected == Health::Ok, "{sandbox:?}");
        }
        assert!(Sandbox::of(None, &strict).finding().is_none());
    }
}
