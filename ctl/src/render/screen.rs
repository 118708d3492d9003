//! What the terminal can draw, found out by querying it.
//!
//! We send three queries that every terminal either answers or ignores, and finally one that all answer (DA1), which distinguishes silence
//! from slowness. Terminals other than multiplexers then get a query about kitty's protocol, because tmux and screen mistake its form for a
//! title. Inside tmux or screen, we use what the multiplexer itself can draw (tmux from 3.4 supports sixel). The terminal behind it cannot
//! be reached without changing the user's settings.

use std::ffi::OsString;

#[cfg(unix)]
mod ask;

/// How to draw pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Kitty,
    Iterm2,
    Sixel,
    /// Text: half blocks in two colours.
    Blocks,
    None,
}

/// The user's own choice, for terminals that claim too much or too little.
pub(crate) const PICTURES_VARIABLE: &str = "SCENED_PICTURES";

/// What pictures have to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    pub(crate) protocol: Protocol,
    /// Width and height of a cell in pixels; neither is 0.
    pub(crate) cell_px: (u16, u16),
    pub(crate) has_true_colour: bool,
}

/// The default if nothing is known: cells are about twice as high as wide.
const USUAL_CELL_PX: (u16, u16) = (10, 20);

/// A terminal's answers; all empty if it gave none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Answers {
    /// Name and version (XTVERSION), in lower case.
    version: String,
    /// Attributes (DA1): 4 is sixel.
    attributes: Option<Vec<u16>>,
    cell_px: Option<(u16, u16)>,
    knows_kitty: bool,
}

impl Screen {
    /// Queries the terminal. Takes at most a second if nothing answers, half of that in all other cases. Standard output must be a
    /// terminal.
    pub(crate) fn ask() -> Result<Self, String> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(word) = variable(PICTURES_VARIABLE) {
            let protocol = protocol_named(&word)?;
            let needs_size = !matches!(protocol, Protocol::Blocks | Protocol::None);
            let answers = if needs_size { asked(&variable, false) } else { Answers::default() };
            return Ok(Self::new(protocol, &answers, variable));
        }
        let answers = asked(&variable, true);
        Ok(Self::new(choose(&answers, &variable), &answers, variable))
    }

    fn new(protocol: Protocol, answers: &Answers, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let true_colour = |word: OsString| word == "truecolor" || word == "24bit";
        // Terminals that draw more than text support all colours, even if a login passed no variable on.
        let draws = answers.knows_kitty || answers.version.contains("wezterm") || answers.version.contains("iterm2");
        Self {
            protocol,
            cell_px: answers.cell_px.or_else(cell_size_of_window).unwrap_or(USUAL_CELL_PX),
            has_true_colour: draws || variable("COLORTERM").is_some_and(true_colour),
        }
    }
}

fn protocol_named(word: &std::ffi::OsStr) -> Result<Protocol, String> {
    match word.to_str() {
        Some("kitty") => Ok(Protocol::Kitty),
        Some("iterm2") => Ok(Protocol::Iterm2),
        Some("sixel") => Ok(Protocol::Sixel),
        Some("blocks") => Ok(Protocol::Blocks),
        Some("none") => Ok(Protocol::None),
        _ => Err(format!(
            "{PICTURES_VARIABLE} must be kitty, iterm2, sixel, blocks or none, not `{}`",
            word.to_string_lossy()
        )),
    }
}

/// Returns whether a terminal draws no pictures and might print queries.
fn is_plain(term: &str) -> bool {
    matches!(term, "" | "dumb" | "linux" | "cons25" | "vt100" | "vt220") || term.starts_with("eterm")
}

fn is_multiplexer(version: &str, term: &str) -> bool {
    [version, term]
        .iter()
        .any(|name| name.starts_with("tmux") || name.starts_with("screen"))
}

fn choose(answers: &Answers, variable: &impl Fn(&str) -> Option<OsString>) -> Protocol {
    let text = |name: &str| {
        variable(name)
            .map(|value| value.to_string_lossy().to_lowercase())
            .unwrap_or_default()
    };
    let term = text("TERM");
    if matches!(term.as_str(), "" | "dumb") {
        return Protocol::None;
    }
    if is_plain(&term) {
        return Protocol::Blocks;
    }
    let has_sixel = answers.attributes.as_ref().is_some_and(|attributes| attributes.contains(&4));
    if is_multiplexer(&answers.version, &term) {
        return if has_sixel { Protocol::Sixel } else { Protocol::Blocks };
    }
    // These draw their own protocol best. The variables are what they set if they do not answer by name.
    let is_named = |name: &str| answers.version.starts_with(name) || text("TERM_PROGRAM").starts_with(name);
    let is_iterm = is_named("iterm") || text("LC_TERMINAL").starts_with("iterm");
    if answers.attributes.is_some() && (is_iterm || is_named("wezterm") || is_named("mintty")) {
        Protocol::Iterm2
    } else if answers.knows_kitty {
        Protocol::Kitty
    } else if has_sixel {
        Protocol::Sixel
    } else {
        Protocol::Blocks
    }
}

#[cfg(unix)]
fn asked(variable: &impl Fn(&str) -> Option<OsString>, about_kitty: bool) -> Answers {
    let term = variable("TERM")
        .map(|value| value.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    if is_plain(&term) {
        return Answers::default();
    }
    ask::ask(&term, about_kitty)
}

/// On Windows' console we use the user's own choice, or blocks.
#[cfg(not(unix))]
fn asked(_variable: &impl Fn(&str) -> Option<OsString>, _about_kitty: bool) -> Answers {
    Answers::default()
}

/// Computes the cell size from what the kernel knows about the window, if the terminal reported it.
#[cfg(unix)]
fn cell_size_of_window() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    let width = size.ws_xpixel.checked_div(size.ws_col)?;
    let height = size.ws_ypixel.checked_div(size.ws_row)?;
    (width > 0 && height > 0).then_some((width, height))
}

#[cfg(not(unix))]
fn cell_size_of_window() -> Option<(u16, u16)> {
    None
}

impl Answers {
    /// Parses everything received; anything unknown (such as keys typed meanwhile) is ignored.
    fn read(bytes: &[u8]) -> Self {
        let mut answers = Self::default();
        let text = String::from_utf8_lossy(bytes);
        for piece in text.split('\u{1b}').skip(1) {
            if let Some(version) = piece.strip_prefix("P>|") {
                version.to_lowercase().clone_into(&mut answers.version);
            } else if let Some(graphics) = piece.strip_prefix("_G") {
                answers.knows_kitty |= graphics.ends_with(";OK");
            } else if let Some(body) = piece.strip_prefix("[?") {
                let end = body.find(|c: char| !c.is_ascii_digit() && c != ';');
                if let Some(end) = end.filter(|end| body[*end..].starts_with('c')) {
                    answers.attributes = Some(body[..end].split(';').filter_map(|number| number.parse().ok()).collect());
                }
            } else if let Some(body) = piece.strip_prefix("[6;") {
                let size = body.split_once('t').and_then(|(size, _)| size.split_once(';'));
                let size = size.and_then(|(height, width)| Some((width.parse().ok()?, height.parse().ok()?)));
                answers.cell_px = size.filter(|(width, height)| (1..=256).contains(width) && (1..=512).contains(height));
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(answers: &str, variables: &[(&str, &str)]) -> Protocol {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        choose(&Answers::read(answers.as_bytes()), &variable)
    }

    #[test]
    fn what_a_terminal_says_decides() {
        let check = |answers: &str, term: &str, expected: Protocol| {
            assert_eq!(chosen(answers, &[("TERM", term)]), expected, "{answers:?} as {term}");
        };
        let version = |name: &str| format!("\x1bP>|{name}\x1b\\");
        let kitty = "\x1b_Gi=31;OK\x1b\\";
        check(
            &format!("{}\x1b[6;20;10t\x1b[?62;c{kitty}\x1b[?62;c", version("kitty(0.36.4)")),
            "xterm-kitty",
            Protocol::Kitty,
        );
        check(
            &format!("{}\x1b[?62;22;52c{kitty}\x1b[?62;22;52c", version("ghostty 1.2")),
            "xterm-ghostty",
            Protocol::Kitty,
        );
        check(
            &format!("{}\x1b[?65;4;6;18;22c{kitty}", version("WezTerm 20240203")),
            "xterm-256color",
            Protocol::Iterm2,
        );
        check(
            &format!("{}\x1b[?64;1;2;4;6;17;18;21;22c", version("iTerm2 3.5.0")),
            "xterm-256color",
            Protocol::Iterm2,
        );
        check(
            &format!("{}\x1b[6;16;8t\x1b[?62;4;22c", version("foot(1.16.2)")),
            "foot",
            Protocol::Sixel,
        );
        check(
            &format!("{}\x1b[?63;1;2;4;6;9;15;22c", version("XTerm(379)")),
            "xterm-256color",
            Protocol::Sixel,
        );
        check(
            &format!("{}\x1b[?64;1;2;6;9;15;22c", version("XTerm(379)")),
            "xterm-256color",
            Protocol::Blocks,
        );
        check(
            &format!("{}\x1b[?65;1;9c", version("VTE(7002)")),
            "xterm-256color",
            Protocol::Blocks,
        );
        // The terminal behind a multiplexer does not count; only what the multiplexer can draw itself does.
        check(&format!("{}\x1b[?1;2;4c", version("tmux 3.5a")), "tmux-256color", Protocol::Sixel);
        check(&format!("{}\x1b[?1;2c", version("tmux 3.3a")), "xterm-256color", Protocol::Blocks);
        check("\x1b[?1;2c", "screen.xterm-256color", Protocol::Blocks);
        // No answer, a refusal, an error, a user typing meanwhile.
        check("", "xterm-256color", Protocol::Blocks);
        check("\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1b[?62c", "xterm", Protocol::Blocks);
        check("lsq\x1b[A\x1b[?62;4c\r", "xterm", Protocol::Sixel);
        check("\x1b[?62;4c", "dumb", Protocol::None);
        check("\x1b[?6c", "linux", Protocol::Blocks);
    }

    #[test]
    fn variables_name_what_does_not_name_itself() {
        let answer = "\x1b[?62;4c";
        assert_eq!(chosen(answer, &[("TERM", "xterm"), ("LC_TERMINAL", "iTerm2")]), Protocol::Iterm2);
        assert_eq!(chosen(answer, &[("TERM", "xterm"), ("TERM_PROGRAM", "WezTerm")]), Protocol::Iterm2);
        // Inside tmux these are the settings of the terminal behind it.
        assert_eq!(
            chosen("\x1b[?1;2c", &[("TERM", "tmux"), ("TERM_PROGRAM", "WezTerm")]),
            Protocol::Blocks
        );
    }

    #[test]
    fn answers_are_read_among_anything_else() {
        let read = |text: &[u8]| Answers::read(text);
        assert_eq!(read(b"\x1b[6;20;10t").cell_px, Some((10, 20)));
        assert_eq!(read(b"\x1b[6;0;10t").cell_px, None);
        assert_eq!(read(b"\x1b[6;99999;10t").cell_px, None);
        assert_eq!(read(b"\x1b[6;;t\x1b[?1;2R\x1b[?\x1b").attributes, None);
        assert_eq!(read(b"\xff\x1b[?1;2c").attributes, Some(vec![1, 2]));
        assert_eq!(read(b"\x1bP>|A \x1b[?c").attributes, Some(Vec::new()));
    }

    #[test]
    fn the_users_word_is_one_of_five() {
        assert_eq!(protocol_named("sixel".as_ref()), Ok(Protocol::Sixel));
        let error = protocol_named("\u{1b}best".as_ref()).unwrap_err();
        assert!(error.contains("kitty, iterm2, sixel, blocks or none"), "{error}");
    }
}
