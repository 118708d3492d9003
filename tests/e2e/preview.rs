//! `--preview`: what it asks terminals, what it draws for each answer, and that it draws nothing without a terminal.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use testkit::{Sandbox, pty};

use crate::SOON;

/// A terminal that gives these answers, each once, when it is asked.
struct Terminal {
    version: &'static str,
    attributes: &'static str,
    cell: &'static str,
    kitty: &'static str,
}

const TERMINALS: &[(&str, Terminal)] = &[
    (
        "kitty",
        Terminal {
            version: "kitty(0.36.4)",
            attributes: "62",
            cell: "6;20;10",
            kitty: "OK",
        },
    ),
    (
        "iterm2",
        Terminal {
            version: "iTerm2 3.5.0",
            attributes: "64;1;2;4;22",
            cell: "6;18;9",
            kitty: "",
        },
    ),
    (
        "sixel",
        Terminal {
            version: "foot(1.16.2)",
            attributes: "62;4;22",
            cell: "6;16;8",
            kitty: "",
        },
    ),
    (
        "blocks",
        Terminal {
            version: "VTE(7002)",
            attributes: "65;1;9",
            cell: "",
            kitty: "",
        },
    ),
    (
        "tmux",
        Terminal {
            version: "tmux 3.3a",
            attributes: "1;2",
            cell: "",
            kitty: "",
        },
    ),
];

impl Terminal {
    /// Returns what the terminal types in answer to everything heard, beyond what it already typed.
    fn answer(&self, heard: &[u8], n_told: &mut usize) -> Vec<u8> {
        let mut told = String::new();
        let heard = String::from_utf8_lossy(heard);
        for piece in heard.split('\u{1b}') {
            match piece {
                "[>0q" => told.extend(["\x1bP>|", self.version, "\x1b\\"]),
                "[16t" if !self.cell.is_empty() => told.extend(["\x1b[", self.cell, "t"]),
                piece if piece.starts_with("[c") => told.extend(["\x1b[?", self.attributes, "c"]),
                piece if piece.starts_with("_Gi=31") && !self.kitty.is_empty() => told.extend(["\x1b_Gi=31;", self.kitty, "\x1b\\"]),
                _ => {}
            }
        }
        let new = told.as_bytes()[*n_told..].to_vec();
        *n_told = told.len();
        new
    }
}

fn two_colours(sandbox: &Sandbox) {
    sandbox.video("two.mp4", &[("red", 2.0), ("green", 2.0)]);
    sandbox.video(OsStr::from_bytes(b"odd\x1b]0;title\x07\xff\n.mp4"), &[("blue", 2.0)]);
}

#[test]
fn pictures_are_drawn_as_the_terminal_says_it_can() {
    let sandbox = Sandbox::new();
    two_colours(&sandbox);
    let _daemon = sandbox.start();
    sandbox.settle();
    for (name, terminal) in TERMINALS {
        let mut command = sandbox.command("scenectl");
        command.args(["search", "a green background", "--preview"]);
        for variable in ["TERM_PROGRAM", "LC_TERMINAL", "COLORTERM", "SCENED_PICTURES", "TMUX"] {
            command.env_remove(variable);
        }
        let mut n_told = 0;
        let heard = pty::run_answering(&command, SOON, (60, 24), |heard| terminal.answer(heard, &mut n_told));
        let heard = String::from_utf8(heard).unwrap();
        let count = |what: &str| heard.matches(what).count();
        let drawn = [
            count("\x1b_Ga=T,q=2,f=24"),
            count("\x1b]1337;File=inline=1"),
            count("\x1bP0;1;0q"),
            count("▀"),
        ];
        let expected = match *name {
            "kitty" => drawn == [3, 0, 0, 0],
            "iterm2" => drawn == [0, 3, 0, 0],
            "sixel" => drawn == [0, 0, 3, 0],
            _ => drawn[..3] == [0, 0, 0] && drawn[3] > 200 && heard.contains("\x1b[38;5;"),
        };
        assert!(expected, "{name}: {drawn:?} in {heard:?}");
        // A multiplexer would treat kitty's query as a title.
        assert_eq!(count("\x1b_Gi=31"), usize::from(*name != "tmux"), "{name}: {heard:?}");
        // The text is below the pictures, two pictures a row; an odd name is printed as text as well.
        assert!(
            heard.contains("1  0:00:02 – 0:00:04") && heard.contains("two.mp4"),
            "{name}: {heard:?}"
        );
        assert!(heard.contains("odd\\e]0;title\\u{7}\\xFF\\n.mp4"), "{name}: {heard:?}");
        assert!(!heard.contains("\x1b]0;"), "{name}: {heard:?}");
    }
}

#[test]
fn a_terminal_that_says_nothing_gets_blocks_and_a_pipe_gets_the_table() {
    let sandbox = Sandbox::new();
    two_colours(&sandbox);
    let _daemon = sandbox.start();
    sandbox.settle();
    let with = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.command("scenectl");
        command.args(words).env_remove("SCENED_PICTURES").env_remove("COLORTERM");
        for (name, value) in variables {
            command.env(name, value);
        }
        let heard = pty::run_answering(&command, SOON, (80, 24), |_| Vec::new());
        String::from_utf8(heard).unwrap()
    };
    let video = sandbox.videos().join("two.mp4");
    let video = video.to_str().unwrap();
    let heard = with(&["scenes", video, "--preview"], &[("COLORTERM", "truecolor")]);
    assert!(heard.contains("\x1b[38;2;") && heard.contains("0:00:02.0 – 0:00:04.0"), "{heard:?}");
    assert!(heard.contains("\x1b[c"), "it was not asked: {heard:?}");
    // If the user has chosen, the terminal is not asked.
    let heard = with(&["search", "red", "--preview"], &[("SCENED_PICTURES", "blocks")]);
    assert!(heard.contains('▀') && !heard.contains("\x1b[c"), "{heard:?}");
    let heard = with(&["search", "red", "--preview"], &[("SCENED_PICTURES", "none")]);
    assert!(!heard.contains('▀') && heard.contains("~/films/two.mp4"), "{heard:?}");
    let heard = with(&["search", "red", "--preview"], &[("SCENED_PICTURES", "best")]);
    assert!(
        heard.contains("SCENED_PICTURES must be kitty, iterm2, sixel, blocks or none"),
        "{heard:?}"
    );

    // Without a terminal the output is the same as without the flag.
    let plain = sandbox.run(["search", "red"]).expect(0);
    let preview = sandbox.run(["search", "red", "--preview"]).expect(0);
    assert_eq!((plain.stdout, plain.stderr), (preview.stdout, preview.stderr));
    sandbox
        .run(["search", "red", "--preview", "--json"])
        .expect(2)
        .complains("cannot be used with");
    sandbox
        .run(["search", "red", "--preview", "-0"])
        .expect(2)
        .complains("cannot be used with");
}
