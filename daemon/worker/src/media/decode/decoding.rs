//! The decoder of a video's picture: its device, what it skips, and whether it is being drained of the pictures that it holds back.
//!
//! Does not know where packets come from, nor when frames are shown.

use ffmpeg_next::frame::Video;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Discard, Error, Packet, Stream, decoder};
use scened_common::media::request::Hardware;

use super::allowed::Allowed;
use super::decoders;
use super::hardware::{self, Device};
use crate::media::ended::Unusable;
use crate::media::evidence;

/// Limit of errors from a decoder that is being drained; it may return errors for ever.
const MAX_ERRORS: u32 = 1000;

/// Why the decoder is drained of the pictures that it holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draining {
    /// It is not being drained.
    No,
    /// Nothing follows.
    AtEnd,
    /// The picture continues elsewhere.
    BeforeMove,
    /// Another codec may continue.
    InDoubt,
}

/// Result of requesting a frame from the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Frame,
    /// No frame until it gets packets.
    Nothing,
    /// A picture that cannot be decoded.
    Bad,
    /// Everything has been given.
    End,
}

/// Whether a frame is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    Yes,
    /// The device never gave a frame.
    NeverWorked,
    Lost,
}

/// The decoder, with its device and state.
pub(super) struct Decoding {
    decoder: decoder::Video,
    device: Option<Device>,
    /// Whether the device gave a frame.
    device_works: bool,
    /// Why a requested device is not used, in words.
    device_refusals: Vec<String>,
    threads: u32,
    spares_filtering: bool,
    only_keyframes: bool,
    draining: Draining,
    /// Errors while draining.
    n_errors: u32,
    /// Packets that could not be decoded since the last picture.
    n_bad_since: u32,
}

impl Decoding {
    /// Opens a decoder for a stream, on a device if that is wanted and possible. `threads`: 0 = one per core.
    pub(super) fn open(stream: &Stream<'_>, threads: u32, wanted: Hardware, allowed: &Allowed) -> Result<Self, Unusable> {
        let id = stream.parameters().id();
        if allowed.decoder(id).is_none() {
            return Err(Unusable(Allowed::why_not(id)));
        }
        decoders::check_size(stream)?;
        let mut device_refusals = Vec::new();
        let on_device = hardware::open_decoder(stream, threads, wanted, allowed, &mut device_refusals);
        let (decoder, device) = match on_device {
            Some((decoder, device)) => (decoder, Some(device)),
            None => (decoders::open_in_software(stream, threads, allowed)?, None),
        };
        Ok(Self {
            decoder,
            device,
            device_works: false,
            device_refusals,
            threads,
            spares_filtering: false,
            only_keyframes: false,
            draining: Draining::No,
            n_errors: 0,
            n_bad_since: 0,
        })
    }

    /// Decodes another stream from here on.
    pub(super) fn go_on_with(&mut self, stream: &Stream<'_>, allowed: &Allowed) -> Result<(), Unusable> {
        self.decoder = decoders::open_in_software(stream, self.threads, allowed)?;
        self.device = None;
        if self.spares_filtering {
            self.spare_filtering();
        }
        if self.only_keyframes {
            self.decoder.skip_frame(Discard::NonKey);
        }
        Ok(())
    }

    /// Decodes the same stream without its device from here on.
    pub(super) fn leave_device(&mut self, stream: &Stream<'_>, allowed: &Allowed) -> Result<(), Unusable> {
        self.decoder = decoders::open_in_software(stream, self.threads, allowed)?;
        self.device = None;
        Ok(())
    }

    /// Returns what decodes: `software`, the name of a device, or `software (why no device)`.
    pub(super) fn name(&self) -> String {
        match &self.device {
            Some(device) if self.device_works => device.hardware().name().to_owned(),
            Some(device) => format!("software ({}: it cannot decode this video)", device.hardware().name()),
            None if self.device_refusals.is_empty() => "software".to_owned(),
            None => format!("software ({})", self.device_refusals.join("; ")),
        }
    }

    pub(super) fn codec_name(&self) -> &'static str {
        self.decoder.id().name()
    }

    /// Returns whether a device decodes, or is yet to be tried.
    pub(super) fn uses_device(&self) -> bool {
        self.device.is_some()
    }

    /// Skips deblocking of non-reference frames.
    pub(super) fn spare_filtering(&mut self) {
        self.spares_filtering = true;
        self.decoder.skip_loop_filter(Discard::NonReference);
    }

    /// Skips frames other than keyframes, for formats whose packets are flagged as keyframes too often.
    pub(super) fn take_only_keyframes(&mut self) {
        self.only_keyframes = true;
        self.decoder.skip_frame(Discard::NonKey);
    }

    /// Sends a packet to the decoder. Returns whether the decoder accepted it.
    pub(super) fn send(&mut self, packet: &Packet) -> bool {
        match self.decoder.send_packet(packet) {
            Ok(()) => true,
            Err(error) => {
                evidence::note_error(error);
                self.n_bad_since += 1;
                false
            }
        }
    }

    pub(super) fn receive(&mut self, frame: &mut Video) -> Received {
        match self.decoder.receive_frame(frame) {
            Ok(()) => Received::Frame,
            Err(Error::Eof) => Received::End,
            Err(Error::Other { errno: EAGAIN }) if self.is_draining() => Received::End,
            Err(Error::Other { errno: EAGAIN }) => Received::Nothing,
            Err(error) => {
                evidence::note_error(error);
                self.n_bad_since += 1;
                self.n_errors += u32::from(self.is_draining());
                Received::Bad
            }
        }
    }

    /// Returns whether draining is given up, after more errors than there can be pictures held back.
    pub(super) fn is_given_up(&self) -> bool {
        self.is_draining() && self.n_errors > MAX_ERRORS
    }

    /// Copies a frame from the device to memory.
    pub(super) fn fetch(&mut self, frame: &mut Video) -> Fetched {
        let Some(device) = &self.device else { return Fetched::Yes };
        match device.fetch(frame) {
            Ok(on_device) => {
                self.device_works |= on_device;
                Fetched::Yes
            }
            Err(error) if !self.device_works => {
                self.device_refusals
                    .push(format!("{}: its frames cannot be copied: {error}", device.hardware().name()));
                Fetched::NeverWorked
            }
            Err(_) => Fetched::Lost,
        }
    }

    /// Notes that a picture was decoded.
    pub(super) fn gave_picture(&mut self) {
        // The pictures held back are older than the packets that could not be decoded.
        if !self.is_draining() {
            self.n_bad_since = 0;
        }
    }

    /// Returns the number of packets that could not be decoded since the last picture.
    pub(super) fn n_bad_since(&self) -> u32 {
        self.n_bad_since
    }

    pub(super) fn forget_bad(&mut self) {
        self.n_bad_since = 0;
    }

    pub(super) fn draining(&self) -> Draining {
        self.draining
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining != Draining::No
    }

    /// Starts draining. Returns `false` if the decoder refuses.
    pub(super) fn drain(&mut self, why: Draining) -> bool {
        self.draining = why;
        self.n_errors = 0;
        self.decoder.send_eof().is_ok()
    }

    /// Notes that the undecodable packets may be another codec's. Adds one to their count, so that a row of them reaches the threshold only
    /// once.
    pub(super) fn note_doubt(&mut self) {
        self.n_bad_since += 1;
    }

    /// Accepts packets again.
    pub(super) fn end_draining(&mut self) {
        self.draining = Draining::No;
    }

    /// Forgets the pictures held back.
    pub(super) fn flush(&mut self) {
        self.decoder.flush();
    }

    /// Forgets the pictures held back, and accepts packets.
    pub(super) fn start_over(&mut self) {
        self.flush();
        self.end_draining();
    }
}
