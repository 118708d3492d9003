//! iTerm2's inline images (<https://iterm2.com/documentation-images.html>), also in WezTerm, mintty and others. The terminal decodes the
//! file.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Cells;

pub(super) fn drawn(jpeg: &[u8], cells: Cells) -> Vec<u8> {
    let text = STANDARD.encode(jpeg);
    let mut bytes = Vec::with_capacity(text.len() + 128);
    let Cells { columns, rows } = cells;
    let length = jpeg.len();
    // The cells already fit the picture: the remaining distortion is less than a cell.
    write!(
        bytes,
        "\x1b]1337;File=inline=1;size={length};width={columns};height={rows};preserveAspectRatio=0:{text}\x07"
    )
    .expect("memory takes any bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_itself_is_sent() {
        let bytes = String::from_utf8(drawn(b"\xff\xd8jpeg", Cells { columns: 24, rows: 7 })).unwrap();
        assert_eq!(
            bytes,
            "\x1b]1337;File=inline=1;size=6;width=24;height=7;preserveAspectRatio=0:/9hqcGVn\x07"
        );
    }
}
