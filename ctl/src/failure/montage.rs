//! Messages for files that were not written, with advice.

use std::io;

use montage::error::ExportError;
use montage::ffmpeg::FfmpegError;
use montage::output_file::OutputError;
use montage::time;
use scened_shared::terminal;

use super::Failure;

const SHORTER: &str = "its name is too long for this disk: give a shorter one";
const MAKE_ROOM: &str = "free some space there, or write it elsewhere";

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            OutputError::NoName => failure.hint("write ./- for a file with this name"),
            OutputError::NotAName { .. } => failure,
            OutputError::NotAFile { .. } => failure.hint("give the name of a file"),
            OutputError::IsVideo { .. } => failure.hint("scenectl never overwrites a video: give another name"),
            OutputError::Exists { .. } => failure.hint("give another name").hint("--force replaces it"),
            OutputError::NoFolder { folder, .. } => failure
                .cause(format!("there is no folder {}", terminal::path(&folder, None)))
                .hint("make the folder first"),
            OutputError::Twice { .. } => failure.hint("give each file a name of its own"),
            OutputError::NotWritten { source, .. } => {
                let failure = failure.cause(source.to_string());
                match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.hint(MAKE_ROOM),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        failure.hint("choose a folder that you may write to")
                    }
                    io::ErrorKind::InvalidFilename => failure.hint(SHORTER),
                    _ => failure,
                }
            }
        }
    }
}

impl From<FfmpegError> for Failure {
    fn from(error: FfmpegError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            FfmpegError::NotInstalled { .. } => failure.hint(
                "install FFmpeg: sudo apt-get install ffmpeg (Debian, Ubuntu), sudo dnf install ffmpeg-free (Fedora), \
                 sudo pacman -S ffmpeg (Arch), brew install ffmpeg (macOS)",
            ),
            FfmpegError::NotStarted { source, .. } | FfmpegError::NotJoined { source } => failure.cause(source.to_string()),
            FfmpegError::Unreadable { said, .. } | FfmpegError::NotWritten { said } => said.into_iter().fold(failure, Self::cause),
            FfmpegError::TimedOut { .. } | FfmpegError::Interrupted => failure,
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            ExportError::Output(error) => error.into(),
            ExportError::Ffmpeg(error) => error.into(),
            ExportError::BehindEnd { video_ms, .. } => failure.cause(format!("it is {} long", time::exact(video_ms))),
            ExportError::NoEncoder { .. } => failure.hint("install a full FFmpeg, or copy packets into a .mkv file"),
            ExportError::MixedColours { video } => failure
                .cause(format!("{} differs from the first video", terminal::path(&video, None)))
                .hint("export them into separate files"),
            ExportError::NotWritten { is_encoded, source, .. } => {
                let why = Self::from(source);
                // An error without causes explains itself: FFmpeg is not installed, or was interrupted.
                if why.causes.is_empty() {
                    return why;
                }
                let failure = Self {
                    message: failure.message,
                    ..why
                };
                if failure.causes.iter().any(|cause| cause.contains("No space left")) {
                    failure.hint(MAKE_ROOM)
                } else if !is_encoded {
                    failure.hint("--exact encodes it again, and .mkv takes every codec")
                } else {
                    failure
                }
            }
            ExportError::Empty { .. } => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn told(error: impl Into<Failure>) -> (String, Vec<String>, Vec<String>) {
        let Failure {
            message, causes, hints, ..
        } = error.into();
        (message, causes, hints)
    }

    #[test]
    fn a_file_that_is_there_says_how_it_is_replaced() {
        let path = PathBuf::from("/tmp/page.html");
        let (message, causes, hints) = told(OutputError::Exists { path: path.clone() });
        assert_eq!(message, "/tmp/page.html exists already");
        assert!(causes.is_empty() && hints[1].contains("--force"), "{hints:?}");
        let folder = PathBuf::from("/tmp/gone");
        let (message, causes, _) = told(OutputError::NoFolder { path, folder });
        assert_eq!(
            (message.as_str(), causes),
            ("/tmp/page.html cannot be written", vec!["there is no folder /tmp/gone".to_owned()])
        );
    }

    #[test]
    fn what_ffmpeg_said_is_the_cause_and_what_helps_is_the_hint() {
        let output = PathBuf::from("/tmp/dogs.mp4");
        let not_written = |said: &[&str], is_encoded| {
            let said = said.iter().map(|&line| line.to_owned()).collect();
            told(ExportError::NotWritten {
                output: output.clone(),
                is_encoded,
                source: FfmpegError::NotWritten { said },
            })
        };
        let (message, causes, hints) = not_written(&["codec not supported"], false);
        assert_eq!(
            (message.as_str(), causes.as_slice()),
            ("/tmp/dogs.mp4 cannot be written", &["codec not supported".to_owned()][..])
        );
        assert!(hints[0].starts_with("--exact"), "{hints:?}");
        assert_eq!(not_written(&["codec not supported"], true).2, [""; 0]);
        assert_eq!(not_written(&["x: No space left on device"], false).2, [MAKE_ROOM]);
    }

    #[test]
    fn an_export_that_is_interrupted_says_only_that() {
        let interrupted = ExportError::NotWritten {
            output: PathBuf::from("/tmp/dogs.mp4"),
            is_encoded: false,
            source: FfmpegError::Interrupted,
        };
        assert_eq!(
            told(interrupted),
            ("interrupted; nothing was written".to_owned(), Vec::new(), Vec::new())
        );
    }
}
