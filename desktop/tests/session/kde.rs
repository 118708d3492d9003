//! `org.kde.krunner1`.

use std::ffi::OsString;

use serde_json::json;

use crate::world::{World, hit, id, is_possible, text};

#[test]
fn a_match_has_text_picture_standing_and_an_action() {
    if !is_possible() {
        return;
    }
    let (mut likely, mut possible) = (hit("/home/u/Videos/a #1.mp4", "a-1"), hit("/b.mkv", "b-1"));
    likely["confidence"] = json!(0.9);
    possible["confidence"] = json!(0.6);
    possible["offline"] = json!(true);
    let world = World::new(&[likely, possible]);
    let said = world.says_at_last("'icon-data'", |world| world.kde("Match", &[text("a dog")]));
    for part in [
        format!("('{}', 'a #1.mp4', '', 70, 0.8", id("a-1", "a dog")),
        format!("('{}', 'b.mkv', '', 30, 0.5", id("b-1", "a dog")),
        "'subtext': <'0:03:12 · ~/Videos'>".to_owned(),
        "'subtext': <'0:03:12 · / · drive not connected'>".to_owned(),
        "'urls': <['file:///home/u/Videos/a%20%231.mp4']>".to_owned(),
        "'actions': <['folder']>".to_owned(),
        "'icon-data': <(128, 72, 384, false, 8, 3, [byte 0xf".to_owned(),
    ] {
        assert!(said.contains(&part), "{part} is not in {said:.3000}");
    }
    world.kde("Actions", &[]).expect(0).says("[('folder', ");
    world.kde("Config", &[]).expect(0).says("'MinLetterCount': <3>");
    world.kde("Teardown", &[]).expect(0);
}

#[test]
fn too_short_a_query_and_nothing_found_are_empty() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[]);
    for query in ["", "do", "a dog"] {
        let ran = world.kde("Match", &[text(query)]).expect(0);
        assert_eq!(ran.stdout.trim(), "(@a(sssida{sv}) [],)", "{query}");
    }
    assert_eq!(world.queries(), ["a dog"]);
}

#[test]
fn running_a_match_opens_the_video_and_forged_ones_do_nothing() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/a.mp4", "a-1")]);
    // This process never showed it, so it searches for the query again.
    world.kde("Run", &[text(&id("a-1", "a dog")), text("")]).expect(0);
    let expected = [OsString::from("--socket"), world.socket(), "open".into(), "/a.mp4@192.500".into()];
    assert_eq!(world.called("scenectl"), expected);
    assert_eq!(world.queries(), ["a dog"]);
    world
        .kde("Run", &[text(&id("x-1", "a dog")), text("")])
        .expect(1)
        .complains("there is no such match");
    world
        .kde("Run", &[text(&id("a-1", "a dog")), text("rm -rf")])
        .expect(1)
        .complains("there is no such action");
    assert_eq!(world.calls("scenectl").len(), 1);
}
