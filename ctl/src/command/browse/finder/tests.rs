use scened_shared::wire_path::WirePath;

use super::*;

fn hit(name: &str) -> Hit {
    let path = WirePath::new(Path::new("/films").join(name).as_path());
    let mut value = serde_json::json!({"start_ms": 1000, "end_ms": 2000, "best_ms": 1500, "score": 0.3, "video": "v", "scene": name,
                                       "offline": false});
    value["path"] = path.path.into();
    serde_json::from_value(value).unwrap()
}

fn answer(names: &[&str]) -> SearchAnswer {
    SearchAnswer {
        query: String::new(),
        model: String::new(),
        hits: names.iter().map(|name| hit(name)).collect(),
        coverage: Coverage::default(),
        notices: Vec::new(),
    }
}

fn press(finder: &mut Finder, code: KeyCode) -> Action {
    finder.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn control(finder: &mut Finder, letter: char) -> Action {
    finder.key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))
}

fn typed(finder: &mut Finder, text: &str) {
    for c in text.chars() {
        assert_eq!(press(finder, KeyCode::Char(c)), Action::Ask, "{c:?}");
    }
}

fn found(names: &[&str]) -> Finder {
    let mut finder = Finder::new("dog".to_owned(), None);
    let (number, request) = finder.question();
    assert_eq!(request.unwrap().query, "dog");
    finder.answered(number, Ok(answer(names)));
    finder
}

#[test]
fn a_stale_answer_is_dropped() {
    let mut finder = Finder::new(String::new(), None);
    assert!(finder.question().1.is_none());
    typed(&mut finder, "ca");
    let (first, _) = finder.question();
    typed(&mut finder, "t");
    let (second, request) = finder.question();
    assert_eq!(request.unwrap().query, "cat");
    finder.answered(first, Ok(answer(&["old"])));
    assert!(finder.hits.is_empty() && finder.is_waiting());
    finder.answered(second, Ok(answer(&["new"])));
    assert_eq!((finder.hits[0].scene.as_str(), finder.is_waiting()), ("new", false));
    // With nothing typed nothing is found, whatever arrives.
    control(&mut finder, 'u');
    assert!(finder.question().1.is_none() && finder.hits.is_empty());
    finder.answered(second, Ok(answer(&["late"])));
    assert!(finder.hits.is_empty());
}

#[test]
fn lines_are_edited_between_characters() {
    let mut finder = Finder::new(String::new(), None);
    typed(&mut finder, "rød 日本 e\u{301}");
    for (code, expected) in [
        (KeyCode::Backspace, "rød 日本 e"),
        (KeyCode::Left, "rød 日本 e"),
        (KeyCode::Backspace, "rød 日本e"),
        (KeyCode::Backspace, "rød 日e"),
        (KeyCode::Home, "rød 日e"),
        (KeyCode::Backspace, "rød 日e"),
        (KeyCode::Right, "rød 日e"),
        (KeyCode::Delete, "rd 日e"),
        (KeyCode::End, "rd 日e"),
        (KeyCode::Delete, "rd 日e"),
    ] {
        press(&mut finder, code);
        assert_eq!(finder.query.text, expected, "{code:?}");
    }
    control(&mut finder, 'w');
    assert_eq!(finder.query.text, "rd ");
    control(&mut finder, 'w');
    assert_eq!((finder.query.text.as_str(), finder.query.cursor), ("", 0));
    // Pasted text becomes one line of limited length.
    assert!(finder.paste("a\nb\u{1b}[2J\tc"));
    assert_eq!(finder.query.text, "a b [2J c");
    assert!(!finder.paste(&"x".repeat(5000)));
    assert_eq!(finder.query.text, "a b [2J c");
}

#[test]
fn what_is_marked_stays_marked_over_other_questions() {
    let mut finder = found(&["a", "b", "c"]);
    press(&mut finder, KeyCode::Tab);
    press(&mut finder, KeyCode::Down);
    press(&mut finder, KeyCode::Tab);
    assert_eq!(finder.selected, 2);
    let (number, _) = finder.question();
    finder.answered(number, Ok(answer(&["d", "a"])));
    let scenes = |finder: &Finder| finder.marked().iter().map(|hit| hit.scene.clone()).collect::<Vec<_>>();
    assert_eq!(scenes(&finder), ["a", "c"]);
    assert!(finder.is_marked(&finder.hits[1]));
    press(&mut finder, KeyCode::Down);
    press(&mut finder, KeyCode::Tab);
    assert_eq!(scenes(&finder), ["c"]);
    assert_eq!(press(&mut finder, KeyCode::Esc), Action::Leave(Leaving::WithPaths));
}

#[test]
fn keys_open_copy_filter_and_leave() {
    let mut finder = found(&["a", "b"]);
    press(&mut finder, KeyCode::Down);
    assert_eq!(press(&mut finder, KeyCode::Enter), Action::Open(hit("b")));
    assert_eq!(control(&mut finder, 'y'), Action::Copy(b"/films/b".to_vec()));
    assert_eq!(control(&mut finder, 'c'), Action::Leave(Leaving::Aborted));
    // Without marks the selected hit is chosen.
    assert_eq!(control(&mut finder, 'o'), Action::Leave(Leaving::WithMoments));
    assert_eq!(finder.marked(), [hit("b")]);
    // The selection stays inside the list.
    for code in [KeyCode::Down, KeyCode::PageDown, KeyCode::Down] {
        press(&mut finder, code);
    }
    assert_eq!(finder.selected, 1);
    press(&mut finder, KeyCode::PageUp);
    press(&mut finder, KeyCode::Up);
    assert_eq!(finder.selected, 0);
    // The folder field: typed into, left with Enter or Esc without leaving the finder, and part of the question.
    control(&mut finder, 'f');
    typed(&mut finder, "/films/x");
    assert_eq!(press(&mut finder, KeyCode::Enter), Action::Nothing);
    assert_eq!(finder.field, Field::Query);
    let within = finder.question().1.unwrap().filters.within;
    assert_eq!(within, [WirePath::new(Path::new("/films/x"))]);
    control(&mut finder, 'f');
    assert_eq!(press(&mut finder, KeyCode::Esc), Action::Nothing);
    // Without hits there is nothing to open, copy or mark.
    let mut finder = found(&[]);
    for code in [KeyCode::Enter, KeyCode::Tab, KeyCode::Up, KeyCode::Down, KeyCode::F(5)] {
        assert_eq!(press(&mut finder, code), Action::Nothing, "{code:?}");
    }
    assert_eq!(control(&mut finder, 'y'), Action::Nothing);
    assert!(finder.marked().is_empty());
}

#[test]
fn a_copied_path_presses_no_keys() {
    let copied = |name: &str| control(&mut found(&[name]), 'y');
    assert_eq!(copied("it's $(x) 1.mp4"), Action::Copy(b"/films/it's $(x) 1.mp4".to_vec()));
    for name in ["a\ntouch PWN\n.mp4", "a\rtouch PWN\r.mp4"] {
        let Action::Copy(word) = copied(name) else {
            panic!("{name:?} can be copied")
        };
        assert!(
            !word.iter().any(u8::is_ascii_control) && word.starts_with(b"\"$(printf "),
            "{word:?}"
        );
    }
    assert_eq!(copied("a\n"), Action::Nothing);
}

fn wish(finder: &mut Finder, name: &str) -> FinderExport {
    assert_eq!((control(finder, 'e'), finder.field), (Action::Nothing, Field::Target));
    control(finder, 'u');
    assert!(!finder.paste(name), "the name of a file is no question");
    match press(finder, KeyCode::Enter) {
        Action::Export(wanted) => wanted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_marked_is_exported_else_what_is_chosen() {
    let mut finder = found(&["a", "b", "c"]);
    press(&mut finder, KeyCode::Down);
    let one = wish(&mut finder, "clip.mp4");
    assert_eq!(
        (one.hits, one.target.as_path(), one.is_exact),
        (vec![hit("b")], Path::new("clip.mp4"), false)
    );
    assert_eq!(one.title, "dog");
    // During an export nothing else can be exported and the finder stays open; ^C stops the export, and a second ^C leaves.
    assert_eq!((control(&mut finder, 'e'), finder.field), (Action::Nothing, Field::Query));
    assert_eq!(press(&mut finder, KeyCode::Esc), Action::Nothing);
    assert_eq!(control(&mut finder, 'o'), Action::Nothing);
    assert_eq!(control(&mut finder, 'c'), Action::StopExport);
    finder.exported("interrupted".to_owned());
    assert_eq!(control(&mut finder, 'c'), Action::Leave(Leaving::Aborted));

    press(&mut finder, KeyCode::Up);
    press(&mut finder, KeyCode::Tab);
    press(&mut finder, KeyCode::Down);
    press(&mut finder, KeyCode::Tab);
    // The name is kept for the next time, and Tab in that field marks nothing.
    control(&mut finder, 'e');
    assert_eq!(finder.target.text, "clip.mp4");
    press(&mut finder, KeyCode::Tab);
    press(&mut finder, KeyCode::Esc);
    let both = wish(&mut finder, "-o x\n\u{1b}.mkv");
    assert_eq!((both.hits, both.is_exact), (vec![hit("a"), hit("c")], true));
    assert_eq!(both.target, Path::new("-o x  .mkv"));
    finder.exported(String::new());
    assert_eq!(finder.marked().len(), 2);
    // Without a name or hits there is no export.
    control(&mut finder, 'e');
    control(&mut finder, 'u');
    assert_eq!((press(&mut finder, KeyCode::Enter), finder.field), (Action::Nothing, Field::Query));
    let mut finder = found(&[]);
    assert_eq!((control(&mut finder, 'e'), finder.field), (Action::Nothing, Field::Query));
}

#[test]
fn blocks_are_made_once_a_size_and_anew_for_another_picture() {
    use crate::render::picture::tests::red;
    let mut pictures = Pictures::default();
    let cells = |columns, rows| Cells { columns, rows };
    assert!(pictures.blocks("a", cells(4, 2), true).is_empty());
    pictures.put("a".to_owned(), Some(red()));
    let first = pictures.blocks("a", cells(4, 2), true).to_vec();
    assert_eq!((first.len(), first[0].len()), (2, 4));
    assert_eq!(pictures.blocks("a", cells(4, 2), true).as_ptr(), pictures.drawn["a"].1.as_ptr());
    assert_eq!(pictures.blocks("a", cells(6, 3), true).len(), 3);
    pictures.put("a".to_owned(), None);
    assert!(pictures.blocks("a", cells(6, 3), true).is_empty());
}
