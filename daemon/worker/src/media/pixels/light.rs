//! What is to be known of a picture's light beyond its numbers.

use super::colour::Transfer;
use super::dovi::Dovi;
use super::tone::USUAL_PEAK_NITS;

/// What a stream and a frame say beyond the numbers of a frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Light {
    /// The brightest light of an HDR video. Nits.
    pub(crate) peak_nits: f32,
    /// Set where the picture is Dolby Vision's own.
    pub(crate) dovi: Option<Dovi>,
    /// What the container says of a picture that does not say it itself.
    pub(crate) fallback: Option<Transfer>,
}

impl Light {
    /// That of a picture that says all by itself.
    pub(crate) fn common() -> Self {
        Self {
            peak_nits: USUAL_PEAK_NITS,
            dovi: None,
            fallback: None,
        }
    }
}
