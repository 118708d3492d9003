//! Whether and how to use colours.

use std::ffi::OsStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    Red,
    Green,
    Yellow,
    Dim,
    Bold,
}

/// Wraps text in escape sequences, or leaves it unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Painter {
    on: bool,
}

impl Painter {
    #[cfg(test)]
    pub(crate) const OFF: Self = Self { on: false };

    /// Decides for one stream of this process.
    pub(crate) fn of_stream(is_terminal: bool) -> Self {
        Self::decide(is_terminal, |name| std::env::var_os(name))
    }

    /// `NO_COLOR` overrides `CLICOLOR_FORCE`, which overrides the stream's kind (no-color.org, bixense.com/clicolors).
    fn decide<S: AsRef<OsStr>>(is_terminal: bool, variable: impl Fn(&str) -> Option<S>) -> Self {
        let set = |name| variable(name).is_some_and(|v| !v.as_ref().is_empty());
        let is = |name, value: &str| variable(name).is_some_and(|v| v.as_ref() == value);
        let on = if set("NO_COLOR") {
            false
        } else if set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") {
            true
        } else {
            is_terminal && !is("TERM", "dumb")
        };
        Self { on }
    }

    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    pub(crate) fn paint(self, color: Color, text: &str) -> String {
        if !self.on || text.is_empty() {
            return text.to_owned();
        }
        let code = match color {
            Color::Red => "1;31",
            Color::Green => "32",
            Color::Yellow => "33",
            Color::Dim => "2",
            Color::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_terminal_and_two_variables() {
        let check = |is_terminal: bool, variables: &[(&str, &'static str)], on: bool| {
            let painter = Painter::decide(is_terminal, |name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| *v));
            assert_eq!(painter.on, on, "{is_terminal} {variables:?}");
        };
        check(true, &[], true);
        check(false, &[], false);
        check(true, &[("NO_COLOR", "1")], false);
        check(true, &[("NO_COLOR", "")], true);
        check(true, &[("TERM", "dumb")], false);
        check(false, &[("CLICOLOR_FORCE", "1")], true);
        check(false, &[("CLICOLOR_FORCE", "0")], false);
        check(false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false);
    }

    #[test]
    fn text_without_colour_is_untouched() {
        assert_eq!(Painter::OFF.paint(Color::Red, "x"), "x");
        assert_eq!(Painter { on: true }.paint(Color::Dim, "x"), "\u{1b}[2mx\u{1b}[0m");
    }
}
