//! What this worker met that is no fault of the video: a read that the system refused, and what the machine was short of.
//!
//! One process looks into one video, so that one note of each kind is enough. FFmpeg hands most of these errors on as a number like any
//! other; without a note a drive that breaks, or a limit on threads, reads as a video that cannot be decoded.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use ffmpeg_next::Error;
use scened_common::media::wire::Fault;

/// The first read that failed; 0 = none did.
static READ_ERROR: AtomicI32 = AtomicI32::new(0);
/// What was not to be had when it was wanted; 0 = all was.
static SHORTAGE: AtomicI32 = AtomicI32::new(0);
/// Memory is bounded by somebody else than us, so that a lack of it tells nothing about the video.
static MEMORY_IS_SCARCE: AtomicBool = AtomicBool::new(false);

/// A file whose reads are watched. It has a place of its own: descriptors that were duplicated share theirs.
pub(crate) struct Watched {
    file: File,
    at: u64,
}

impl Watched {
    /// From the file's beginning on.
    pub(crate) fn new(file: File) -> Self {
        Self { file, at: 0 }
    }

    /// The file itself, unwatched.
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
    // Not watched: a video can name places that no file has.
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

/// Takes note of a read of the video that failed.
pub(crate) fn note_read_error(error: &io::Error) {
    if error.kind() != io::ErrorKind::Interrupted {
        note(&READ_ERROR, error.raw_os_error().unwrap_or(libc::EIO));
    }
}

/// Remembers that this machine bounds memory more than we do.
pub(crate) fn memory_is_scarce() {
    MEMORY_IS_SCARCE.store(true, Ordering::Relaxed);
}

/// Takes note of an error of reading or decoding where it tells of a lack of memory. "Again" means something else to FFmpeg there.
pub(crate) fn note_error(error: Error) {
    match error {
        // Where only our own limit bounds memory, it is the video that asks for too much, or for a size that cannot be.
        Error::Other { errno: libc::ENOMEM } if MEMORY_IS_SCARCE.load(Ordering::Relaxed) => note(&SHORTAGE, libc::ENOMEM),
        _ => {}
    }
}

/// As [`note_error`], of opening a decoder, which starts threads.
pub(crate) fn note_opening_error(error: Error) {
    match error {
        Error::Other { errno: libc::EAGAIN } => note(&SHORTAGE, libc::EAGAIN),
        error => note_error(error),
    }
}

/// Takes note of a thread that could not be started.
pub(crate) fn note_thread_error(error: &io::Error) {
    note(&SHORTAGE, error.raw_os_error().unwrap_or(libc::EAGAIN));
}

fn note(place: &AtomicI32, errno: i32) {
    // The first one tells most.
    let _known = place.compare_exchange(0, errno, Ordering::Relaxed, Ordering::Relaxed);
}

/// What a failure, or a part that is missing, is laid to.
pub(crate) fn fault() -> Fault {
    match (READ_ERROR.load(Ordering::Relaxed), SHORTAGE.load(Ordering::Relaxed)) {
        (0, 0) => Fault::Video,
        (0, errno) => Fault::Shortage { errno },
        (errno, _) => Fault::Reading { errno },
    }
}
