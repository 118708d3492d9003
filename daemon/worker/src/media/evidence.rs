//! Notes failures that are no fault of the video: a read that the system refused, or a resource that the machine lacked.
//!
//! One process handles one video, so one note of each kind is enough. FFmpeg passes most of these errors on as a plain number. Without a
//! note, a failing drive or a limit on threads looks like a video that cannot be decoded.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use ffmpeg_next::Error;
use scened_common::media::wire::Fault;

/// The error number of the first read that failed; 0 = none failed.
static READ_ERROR: AtomicI32 = AtomicI32::new(0);
/// The error number of the first resource that was missing; 0 = none was.
static SHORTAGE: AtomicI32 = AtomicI32::new(0);
/// Whether somebody else limits memory. A lack of memory then says nothing about the video.
static MEMORY_IS_SCARCE: AtomicBool = AtomicBool::new(false);

/// A file whose failed reads are noted. It keeps its own position: duplicated descriptors share theirs.
pub(crate) struct Watched {
    file: File,
    at: u64,
}

impl Watched {
    /// Starts at the beginning of the file.
    pub(crate) fn new(file: File) -> Self {
        Self { file, at: 0 }
    }

    /// Returns the file itself, whose reads are not noted.
    pub(crate) fn plain(&mut self) -> &mut File {
        &mut self.file
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.file.read_at(buffer, self.at).inspect_err(note_read_error)?;
        self.at += n_bytes as u64;
        Ok(n_bytes)
    }
}

impl Seek for Watched {
    // Errors are not noted: a video can name positions that no file has.
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let at = match position {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Notes a failed read of the video.
pub(crate) fn note_read_error(error: &io::Error) {
    if error.kind() != io::ErrorKind::Interrupted {
        note(&READ_ERROR, error.raw_os_error().unwrap_or(libc::EIO));
    }
}

/// Notes that this machine limits memory more strictly than we do.
pub(crate) fn memory_is_scarce() {
    MEMORY_IS_SCARCE.store(true, Ordering::Relaxed);
}

/// Notes an error of reading or decoding if it means a lack of memory. `EAGAIN` is not noted, since it has another meaning to FFmpeg there.
pub(crate) fn note_error(error: Error) {
    match error {
        // If only our own limit bounds memory, the video asks for too much, or for an impossible size.
        Error::Other { errno: libc::ENOMEM } if MEMORY_IS_SCARCE.load(Ordering::Relaxed) => note(&SHORTAGE, libc::ENOMEM),
        _ => {}
    }
}

/// Notes an error of opening a decoder, like [`note_error`]. Opening one starts threads, so `EAGAIN` is noted as well.
pub(crate) fn note_opening_error(error: Error) {
    match error {
        Error::Other { errno: libc::EAGAIN } => note(&SHORTAGE, libc::EAGAIN),
        error => note_error(error),
    }
}

/// Notes that a thread could not be started.
pub(crate) fn note_thread_error(error: &io::Error) {
    note(&SHORTAGE, error.raw_os_error().unwrap_or(libc::EAGAIN));
}

fn note(place: &AtomicI32, errno: i32) {
    // The first error tells most.
    let _known = place.compare_exchange(0, errno, Ordering::Relaxed, Ordering::Relaxed);
}

/// Returns the cause of a failure or of a missing part.
pub(crate) fn fault() -> Fault {
    match (READ_ERROR.load(Ordering::Relaxed), SHORTAGE.load(Ordering::Relaxed)) {
        (0, 0) => Fault::Video,
        (0, errno) => Fault::Shortage { errno },
        (errno, _) => Fault::Reading { errno },
    }
}
