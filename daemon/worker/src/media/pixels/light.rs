//! Metadata about the light of a picture beyond its samples.

use super::colour::Transfer;
use super::dovi::Dovi;
use super::tone::USUAL_PEAK_NITS;

/// What a stream and a frame state about light beyond the frame's samples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Light {
    /// The brightest light of an HDR video. Nits.
    pub(crate) peak_nits: f32,
    /// Set if the picture uses Dolby Vision's own colours.
    pub(crate) dovi: Option<Dovi>,
    /// The container's transfer, for a picture that states none itself.
    pub(crate) fallback: Option<Transfer>,
}

impl Light {
    /// Returns the light of a picture that needs no other metadata.
    pub(crate) fn common() -> Self {
        Self {
            peak_nits: USUAL_PEAK_NITS,
            dovi: None,
            fallback: None,
        }
    }
}
