/// Columns and rows of a glimpse's luma.
pub const LUMA: (usize, usize) = (64, 48);
/// Columns and rows of each colour difference of a glimpse.
pub const CHROMA: (usize, usize) = (32, 24);

/// A small version of a frame: the whole stored picture, squashed to one fixed size. It is neither turned nor stretched to its displayed
/// aspect, because only changes from frame to frame matter. Full range: black is 0, white is 255, no colour is 128.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// **Shape**: `[48, 64]`.
    pub luma: [u8; LUMA.0 * LUMA.1],
    /// Cb. **Shape**: `[24, 32]`.
    pub blue: [u8; CHROMA.0 * CHROMA.1],
    /// Cr. **Shape**: `[24, 32]`.
    pub red: [u8; CHROMA.0 * CHROMA.1],
}

impl Default for Glimpse {
    fn default() -> Self {
        Self {
            luma: [0; LUMA.0 * LUMA.1],
            blue: [128; CHROMA.0 * CHROMA.1],
            red: [128; CHROMA.0 * CHROMA.1],
        }
    }
}
