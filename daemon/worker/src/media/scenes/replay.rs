//! Converts keyframe pictures of an earlier analysis to the input of another model.

use std::fs::File;
use std::io::{BufReader, Write};

use ffmpeg_next::codec::Id;
use ffmpeg_next::codec::context::Context;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Packet, decoder};
use scened_common::domain::ImageSpec;
use scened_common::media::keyframe_file::{KeyframesError, Reader};
use scened_common::media::request::KeyframesRequest;
use scened_common::media::wire::{self, Replayed, SceneHeader};
use scened_common::pipe;

use crate::media::ended::{Ended, Unusable};
use crate::media::evidence::{self, Watched};
use crate::media::pixels::fit::{self, Plan};
use crate::media::pixels::light::Light;
use crate::media::pixels::render::Renderer;

/// Sends the daemon every scene of the file with its frames at the model's size.
pub(crate) fn replay(opened: File, request: &KeyframesRequest, answers: &mut impl Write) -> Result<(), Ended> {
    wire::check_image(&request.image).map_err(Unusable)?;
    let damaged = |error: KeyframesError| Unusable(error.to_string());
    let mut reader = Reader::new(BufReader::with_capacity(1 << 18, Watched::new(opened))).map_err(damaged)?;
    let mut pictures = Pictures::new(request.image).map_err(|error| {
        evidence::note_opening_error(error);
        Unusable(format!("FFmpeg cannot decode WebP and JPEG: {error}"))
    })?;
    let frame_bytes = wire::frame_bytes(&request.image);
    let mut n_scenes = 0;
    while let Some(scene) = reader.next_scene().map_err(damaged)? {
        let most_frames = scene.keyframes.len() * request.image.most_views();
        let mut body = Vec::with_capacity(most_frames * frame_bytes);
        let mut frames_ms = Vec::with_capacity(most_frames);
        for keyframe in &scene.keyframes {
            let views = pictures.model(&keyframe.picture)?;
            frames_ms.extend(std::iter::repeat_n(keyframe.time_ms, views.len() / frame_bytes));
            body.extend_from_slice(&views);
        }
        let header = SceneHeader {
            span: scene.span,
            boundary: scene.boundary,
            frames_ms,
            thumbnail_bytes: 0,
            keyframes: Vec::new(),
        };
        pipe::write_frame(answers, wire::KIND_SCENE, &header, &body)?;
        n_scenes += 1;
    }
    pipe::write_frame(answers, wire::KIND_FINISHED, &Replayed { n_scenes }, &[])?;
    Ok(())
}

/// Decodes keyframe pictures, most of which have the same size.
pub(crate) struct Pictures {
    image: ImageSpec,
    webp: decoder::Video,
    jpeg: decoder::Video,
    /// The plan and renderer for pictures of one size.
    prepared: Option<((u32, u32), Plan, Renderer)>,
}

impl Pictures {
    pub(crate) fn new(image: ImageSpec) -> Result<Self, ffmpeg_next::Error> {
        let decoder = |id| {
            let codec = decoder::find(id).ok_or(ffmpeg_next::Error::DecoderNotFound)?;
            Context::new_with_codec(codec).decoder().video()
        };
        Ok(Self {
            image,
            webp: decoder(Id::WEBP)?,
            jpeg: decoder(Id::MJPEG)?,
            prepared: None,
        })
    }

    /// Makes the model's pictures of one moment from a keyframe picture. **Shape**: `[n, height, width, 3]` u8 at the model's size, `n`
    /// pictures of that moment.
    pub(crate) fn model(&mut self, picture: &[u8]) -> Result<Vec<u8>, Unusable> {
        let unreadable = |error: &dyn std::fmt::Display| Unusable(format!("the keyframe pictures are damaged: {error}"));
        let mut frame = Video::empty();
        let decoder = if picture.starts_with(b"RIFF") {
            &mut self.webp
        } else {
            &mut self.jpeg
        };
        decoder.send_packet(&Packet::copy(picture)).map_err(|error| unreadable(&error))?;
        decoder.receive_frame(&mut frame).map_err(|error| unreadable(&error))?;
        let size = (frame.width(), frame.height());
        let prepared = match self.prepared.take() {
            Some(prepared) if prepared.0 == size => prepared,
            _ => {
                let plan = fit::to_model(size, &self.image);
                let renderer = Renderer::new(plan.fit, self.image.resample);
                (size, plan, renderer)
            }
        };
        let (_, plan, renderer) = self.prepared.insert(prepared);
        let rgb = renderer.render(&frame, &Light::common()).map_err(|error| unreadable(&error))?;
        Ok(plan.lay(rgb))
    }
}
