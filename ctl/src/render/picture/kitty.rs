//! Kitty's graphics protocol (<https://sw.kovidgoyal.net/kitty/graphics-protocol/>), also in Ghostty, Konsole and others.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Cells;

/// The most characters that the protocol allows in one sequence.
const MAX_CHUNK: usize = 4096;

/// Shows RGB pixels over `cells` at the cursor, which does not move. `q=2` suppresses the terminal's reply, which would be mistaken for
/// keys.
pub(super) fn drawn(rgb: &[u8], size_px: (u32, u32), cells: Cells, id: u32) -> Vec<u8> {
    let text = STANDARD.encode(rgb);
    let mut bytes = Vec::with_capacity(text.len() + 256);
    let mut chunks = text.as_bytes().chunks(MAX_CHUNK).peekable();
    let (width, height) = size_px;
    let Cells { columns, rows } = cells;
    let mut control = format!("a=T,q=2,f=24,C=1,i={id},s={width},v={height},c={columns},r={rows},");
    while let Some(chunk) = chunks.next() {
        let more = u8::from(chunks.peek().is_some());
        write!(bytes, "\x1b_G{control}m={more};").expect("memory takes any bytes");
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\x1b\\");
        control = String::new();
    }
    bytes
}

/// Removes every picture from the screen and from the terminal's memory.
#[cfg(feature = "browse")]
pub(crate) const ALL_GONE: &[u8] = b"\x1b_Ga=d,d=A,q=2\x1b\\";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_go_in_chunks_of_which_the_last_says_so() {
        let rgb: Vec<u8> = (0..100 * 20 * 3).map(|i| i as u8).collect();
        let cells = Cells { columns: 10, rows: 1 };
        let bytes = String::from_utf8(drawn(&rgb, (100, 20), cells, 7)).unwrap();
        let chunks: Vec<(&str, &str)> = bytes
            .split_terminator("\x1b\\")
            .map(|chunk| chunk.strip_prefix("\x1b_G").unwrap().split_once(';').unwrap())
            .collect();
        let controls: Vec<&str> = chunks.iter().map(|(control, _)| *control).collect();
        assert_eq!(controls, ["a=T,q=2,f=24,C=1,i=7,s=100,v=20,c=10,r=1,m=1", "m=0"]);
        assert!(chunks.iter().all(|(_, text)| text.len() <= 4096));
        let text: String = chunks.iter().map(|(_, text)| *text).collect();
        assert_eq!(STANDARD.decode(text).unwrap(), rgb);
    }
}
