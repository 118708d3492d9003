//! Decodes on a graphics card if this is requested and works, otherwise in software, with the reason.
//!
//! Frames are copied to memory as soon as they are decoded, because all later code reads planes.

#![expect(unsafe_code, reason = "ffmpeg-next knows no hardware decoding")]

use std::ptr;

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Codec, Error, Stream, codec, decoder, ffi};
use scened_common::media::request::Hardware;

use super::allowed::Allowed;
use super::decoders;
use crate::media::sandbox;

/// A device that decodes a video.
#[derive(Debug)]
pub(super) struct Device {
    hardware: Hardware,
    context: *mut ffi::AVBufferRef,
    /// Format of frames that are on this device.
    format: ffi::AVPixelFormat,
}

/// Returns the devices to try, best first.
fn candidates(wanted: Hardware) -> Vec<Hardware> {
    match wanted {
        Hardware::None => Vec::new(),
        Hardware::Auto if cfg!(target_os = "macos") => vec![Hardware::Videotoolbox],
        Hardware::Auto => vec![Hardware::Cuda, Hardware::Vaapi],
        one => vec![one],
    }
}

/// Opens a decoder on the first device that accepts the video. Adds to `refusals` why the devices before it failed.
pub(super) fn open_decoder(
    stream: &Stream<'_>,
    threads: u32,
    wanted: Hardware,
    allowed: &Allowed,
    refusals: &mut Vec<String>,
) -> Option<(decoder::Video, Device)> {
    if wanted != Hardware::None && sandbox::is_entered() {
        refusals.push(format!(
            "{}: its driver does not work in the sandbox; see allow-unsandboxed",
            wanted.name()
        ));
        return None;
    }
    for hardware in candidates(wanted) {
        let opened = decoders::hardware_codec(stream, allowed)
            .ok_or_else(|| "FFmpeg has no decoder for it".to_owned())
            .and_then(|codec| {
                let device = Device::open(hardware, codec)?;
                let decoder = decoders::open_decoder(stream, codec, threads, |context| device.give_to(context));
                Ok((decoder.map_err(|error| format!("it cannot be opened: {error}"))?, device))
            });
        match opened {
            Ok(opened) => return Some(opened),
            Err(reason) => refusals.push(format!("{}: {reason}", hardware.name())),
        }
    }
    None
}

impl Device {
    /// Opens a device that can decode with this codec.
    ///
    /// **Errors**: the reason why it cannot, in words for the user.
    pub(super) fn open(hardware: Hardware, codec: Codec) -> Result<Self, String> {
        let kind = match hardware {
            Hardware::Vaapi => ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI,
            Hardware::Cuda => ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA,
            Hardware::Videotoolbox => ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VIDEOTOOLBOX,
            Hardware::None | Hardware::Auto => return Err("no device is meant".to_owned()),
        };
        let format = format_of(codec, kind).ok_or_else(|| format!("this FFmpeg cannot decode {} with it", codec.id().name()))?;
        let mut context = ptr::null_mut();
        // SAFETY: `context` is ours and empty; no name and no options means the first device.
        let code = unsafe { ffi::av_hwdevice_ctx_create(&raw mut context, kind, ptr::null(), ptr::null_mut(), 0) };
        if code < 0 || context.is_null() {
            return Err(format!("no device: {}", Error::from(code)));
        }
        Ok(Self { hardware, context, format })
    }

    pub(super) fn hardware(&self) -> Hardware {
        self.hardware
    }

    /// Lets a decoder that is not open yet use the device. FFmpeg then chooses by itself: the device's format if the device can decode the
    /// video, otherwise software.
    pub(super) fn give_to(&self, context: &mut codec::Context) {
        // SAFETY: the decoder is ours and not open. It takes its own reference to the device and releases it.
        unsafe { (*context.as_mut_ptr()).hw_device_ctx = ffi::av_buffer_ref(self.context) };
    }

    /// Copies a frame to memory if it is on the device. Returns whether it was.
    pub(super) fn fetch(&self, frame: &mut Video) -> Result<bool, Error> {
        // SAFETY: `frame` is a live AVFrame; the field is a plain number.
        if unsafe { (*frame.as_ptr()).format } != self.format as i32 {
            return Ok(false);
        }
        let mut copy = Video::empty();
        // SAFETY: both frames are live. FFmpeg allocates the planes of an empty frame, and copies the frame's properties.
        let code = unsafe {
            match ffi::av_hwframe_transfer_data(copy.as_mut_ptr(), frame.as_ptr(), 0) {
                0.. => ffi::av_frame_copy_props(copy.as_mut_ptr(), frame.as_ptr()),
                code => code,
            }
        };
        if code < 0 {
            return Err(Error::from(code));
        }
        std::mem::swap(frame, &mut copy);
        Ok(true)
    }
}

// SAFETY: the reference is counted atomically, and FFmpeg guards the device itself.
unsafe impl Send for Device {}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: the reference is ours; a decoder that uses the device has its own.
        unsafe { ffi::av_buffer_unref(&raw mut self.context) };
    }
}

/// Returns the format of the frames that this codec decodes to on such a device.
fn format_of(codec: Codec, kind: ffi::AVHWDeviceType) -> Option<ffi::AVPixelFormat> {
    (0..).find_map(|index| {
        // SAFETY: the codec and its configurations are static, and the list ends with null.
        let config = unsafe { ffi::avcodec_get_hw_config(codec.as_ptr(), index) };
        if config.is_null() {
            return Some(None);
        }
        // SAFETY: it is not null.
        let config = unsafe { &*config };
        let takes_device = config.methods & ffi::AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX as i32 != 0;
        (takes_device && config.device_type == kind).then_some(Some(config.pix_fmt))
    })?
}
