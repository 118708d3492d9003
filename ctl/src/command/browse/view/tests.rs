use ratatui::Terminal;
use ratatui::backend::TestBackend;
use scened_shared::message::SearchAnswer;

use super::*;
use crate::render::picture::tests::red;

const BLOCKS: Screen = Screen {
    protocol: Protocol::Blocks,
    cell_px: (10, 20),
    has_true_colour: true,
};

fn hit(i: usize, name: &str) -> Hit {
    serde_json::from_value(
        serde_json::json!({"path": format!("/films/{name}"), "start_ms": 1000, "end_ms": 2000,
        "best_ms": 61_500, "score": 0.31, "video": "v", "scene": i.to_string(), "offline": i == 1}),
    )
    .unwrap()
}

fn finder(names: &[&str]) -> Finder {
    let mut finder = Finder::new("a dog".to_owned(), None);
    let (number, _) = finder.question();
    let answer = SearchAnswer {
        query: String::new(),
        model: String::new(),
        hits: names.iter().enumerate().map(|(i, name)| hit(i, name)).collect(),
        coverage: Coverage {
            pending: 2,
            ..Coverage::default()
        },
        notices: Vec::new(),
    };
    finder.answered(number, Ok(answer));
    finder
}

fn drawn(finder: &mut Finder, columns: u16, rows: u16, screen: Screen) -> (Vec<String>, Drawn) {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let mut what = Drawn::default();
    terminal.draw(|frame| what = draw(frame, finder, screen)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y: u16| {
        (0..columns)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
            .trim_end()
            .to_owned()
    };
    ((0..rows).map(line).collect(), what)
}

#[test]
fn at_80_by_24_there_is_all_of_it() {
    let mut finder = finder(&["one.mp4", "two.mp4", "three.mp4"]);
    finder.pictures.put("0".to_owned(), Some(red()));
    let (lines, what) = drawn(&mut finder, 80, 24, BLOCKS);
    assert_eq!(lines[0], "> a dog");
    assert_eq!(lines[1], "in anywhere");
    assert!(
        lines[2].starts_with("  1  0.31 /films/one.mp4") && lines[2].contains("0:01:01"),
        "{lines:#?}"
    );
    assert!(lines[3].contains("0:01:01 offline"), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.contains('▀')).count(), 9, "{lines:#?}");
    assert!(lines[11].contains("1  0:00:01 – 0:00:02"), "{lines:#?}");
    // The second picture has not arrived yet; its space is reserved.
    assert_eq!(what.wanted, ["1"]);
    assert!(
        lines[22].starts_with("3 hits (2 videos not searched or away)  Enter open") && lines[23].ends_with("Esc quit"),
        "{lines:#?}"
    );
}

#[test]
fn terminals_that_draw_themselves_are_told_where() {
    let mut finder = finder(&["one.mp4"]);
    finder.pictures.put("0".to_owned(), Some(red()));
    let screen = Screen {
        protocol: Protocol::Kitty,
        ..BLOCKS
    };
    let (lines, what) = drawn(&mut finder, 80, 24, screen);
    assert!(!lines.concat().contains('▀'));
    assert_eq!(
        what.placed,
        [Placed {
            scene: "0".to_owned(),
            area: Rect::new(48, 2, 18, 9)
        }]
    );
}

#[test]
fn no_size_and_no_name_is_too_odd() {
    let names = [
        "a\u{1b}[2J\n.mp4",
        "日本語の長い名前の映画.mp4",
        "👩‍👩‍👧e\u{301}.mp4",
        "\u{202e}4pm.mp4",
        "",
    ];
    for protocol in [Protocol::Blocks, Protocol::Sixel, Protocol::None] {
        let screen = Screen { protocol, ..BLOCKS };
        let mut finder = finder(&names);
        finder.pictures.put("0".to_owned(), Some(red()));
        finder.query.text = "日本語 \u{1b}[2J and many more words than there is room for".to_owned();
        finder.query.cursor = finder.query.text.len();
        for (columns, rows) in [
            (20, 5),
            (1, 1),
            (2, 2),
            (3, 3),
            (5, 4),
            (59, 9),
            (60, 10),
            (61, 12),
            (200, 3),
            (3, 200),
            (300, 80),
        ] {
            for selected in 0..names.len() {
                finder.selected = selected;
                for field in [Field::Query, Field::Folder, Field::Target] {
                    finder.field = field;
                    let (lines, _) = drawn(&mut finder, columns, rows, screen);
                    let all = lines.concat();
                    assert!(
                        !all.chars().any(|c| c.is_control() || c == '\u{202e}'),
                        "{columns}x{rows}: {lines:#?}"
                    );
                }
            }
        }
        finder.selected = 0;
        let (lines, _) = drawn(&mut finder, 20, 5, screen);
        assert_eq!(lines[0], "> there is room for", "the end of what is typed is seen: {lines:#?}");
        assert!(lines[2].starts_with("  1 ") && lines[2].ends_with("0:01:01"), "{lines:#?}");
    }
}

#[test]
fn a_daemon_that_is_gone_is_said() {
    let mut finder = finder(&["one.mp4"]);
    finder.lost = Some("the daemon cannot be reached\u{1b}[2J".to_owned());
    let (lines, _) = drawn(&mut finder, 80, 24, BLOCKS);
    assert_eq!(lines[23], "the daemon cannot be reached\\e[2J");
}

#[test]
fn what_is_said_of_an_export_is_read_to_its_end() {
    let mut finder = finder(&["one.mp4", "two.mp4"]);
    finder.field = Field::Target;
    finder.target.text = "dogs\u{1b}.mp4".to_owned();
    let (lines, _) = drawn(&mut finder, 80, 24, BLOCKS);
    assert_eq!(lines[1], "1 hit (copied, Tab) to dogs\\e.mp4");
    assert!(lines[22].starts_with("Enter write") && lines[23].contains(" .otio"), "{lines:#?}");
    finder.field = Field::Query;
    finder.exporting = Some(Exporting {
        target: "dogs\u{1b}.mp4".to_owned(),
        percent: 7,
    });
    let (lines, _) = drawn(&mut finder, 80, 24, BLOCKS);
    assert_eq!(lines[23], "7 % of dogs\\e.mp4  ^C stops it");
    let said = "/a/very/long/path/".repeat(7) + "film.mp4 is offline: on Stick, last seen 2023-11-14; connect its drive, and try again";
    finder.exported(said.clone());
    let (lines, _) = drawn(&mut finder, 80, 24, BLOCKS);
    assert_eq!(lines[21..].concat().replace(' ', ""), said.replace(' ', ""));
    // A window with few lines keeps its list.
    let (lines, _) = drawn(&mut finder, 30, 5, BLOCKS);
    assert!(lines[2].starts_with("  1 ") && lines[4] == said[..30], "{lines:#?}");
}

#[test]
fn an_empty_list_says_whether_the_folder_is_to_blame() {
    let mut finder = finder(&[]);
    let (lines, _) = drawn(&mut finder, 80, 24, BLOCKS);
    assert_eq!(lines[2], "nothing found");
    finder.folder.text = "/nowhere".to_owned();
    finder.coverage = Some(Coverage::default());
    let (lines, _) = drawn(&mut finder, 80, 24, BLOCKS);
    assert_eq!(lines[2], "no video in that folder is indexed");
}
