//! `org.gnome.Shell.SearchProvider2`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use serde_json::json;
use testkit::wait_until;

use crate::SOON;
use crate::world::{World, hit, id, is_possible, text, texts};

const NOTHING: &str = "(@as [],)";

#[test]
fn the_bus_starts_it_and_a_question_gets_moments_with_video_time_folder_and_picture() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/home/u/Videos/holiday.mp4", "a-1"), hit("/mnt/b.mkv", "b-7")]);
    let (first, second) = (id("a-1", "a dog"), id("b-7", "a dog"));
    assert_eq!(world.ids_of(&["a", "dog"]).trim(), format!("(['{first}', '{second}'],)"));
    let asked = world.last_search();
    assert_eq!(
        (&asked["query"], &asked["by"], &asked["min_confidence"]),
        (&json!("a dog"), &json!("scene"), &json!(0.5))
    );

    let asked = texts(&[&second, &first]);
    let metas = world.says_at_last("'icon-data'", |world| world.gnome("GetResultMetas", std::slice::from_ref(&asked)));
    for (part, n_times) in [
        (format!("'id': <'{second}'>"), 1),
        ("'name': <'b.mkv'>".to_owned(), 1),
        ("'name': <'holiday.mp4'>".to_owned(), 1),
        ("'description': <'0:03:12 · ~/Videos'>".to_owned(), 1),
        ("'description': <'0:03:12 · /mnt'>".to_owned(), 1),
        // 128 × 72 pixels, 384 bytes a row, no alpha, 8 bits, 3 channels; the first pixel is red.
        ("'icon-data': <(128, 72, 384, false, 8, 3, [byte 0xf".to_owned(), 2),
    ] {
        assert_eq!(metas.matches(&part).count(), n_times, "{part} in {metas:.2000}");
    }
    // In the order in which they were requested.
    assert!(metas.find("b.mkv") < metas.find("holiday.mp4"));
}

#[test]
fn a_scene_without_a_picture_has_an_icon() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/a.mp4", "a-1")]);
    world.drop_thumbnails();
    world.ids_of(&["dog"]);
    world
        .gnome("GetResultMetas", &[texts(&[&id("a-1", "dog")])])
        .expect(0)
        .says("'gicon': <'video-x-generic'>");
}

#[test]
fn fewer_than_three_letters_are_not_asked() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/a.mp4", "a-1")]);
    for terms in [texts(&[]), texts(&["do"]), texts(&["a", "b"]), texts(&["...", "!"])] {
        assert_eq!(world.gnome("GetInitialResultSet", &[terms]).expect(0).stdout.trim(), NOTHING);
    }
    let previous = texts(&[&id("a-1", "dog")]);
    assert_eq!(
        world
            .gnome("GetSubsearchResultSet", &[previous, texts(&["do"])])
            .expect(0)
            .stdout
            .trim(),
        NOTHING
    );
    assert_eq!(world.queries(), [""; 0]);
}

#[test]
fn while_the_model_wakes_answers_are_empty_and_only_the_newest_question_is_kept() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/a.mp4", "a-1")]);
    world.hold(Some("red"));
    assert_eq!(
        world.gnome("GetInitialResultSet", &[texts(&["red"])]).expect(0).stdout.trim(),
        NOTHING
    );
    wait_until("the question that wakes the model", SOON, || match world.queries() {
        queries if queries == ["red"] => Ok(()),
        queries => Err(format!("{queries:?}")),
    });
    let previous = texts(&[]);
    for word in ["red c", "red ca", "red car"] {
        let ran = world.gnome("GetSubsearchResultSet", &[previous.clone(), texts(&[word])]);
        assert_eq!(ran.expect(0).stdout.trim(), NOTHING, "{word}");
    }
    world.hold(None);
    assert!(world.ids_of(&["red car"]).contains("red car"));
    assert_eq!(world.queries(), ["red", "red car"], "what was typed over is never asked");
}

#[test]
fn what_the_model_is_not_sure_of_is_not_shown() {
    if !is_possible() {
        return;
    }
    let (mut sure, mut unsure) = (hit("/sure.mp4", "a-1"), hit("/unsure.mp4", "b-1"));
    sure["confidence"] = json!(0.81);
    unsure["confidence"] = json!(0.49);
    let mut unmeasured = hit("/unmeasured.mp4", "c-1");
    unmeasured.as_object_mut().unwrap().remove("confidence");
    let world = World::new(&[sure, unsure, unmeasured]);
    assert_eq!(world.ids_of(&["dog"]).trim(), format!("(['{}'],)", id("a-1", "dog")));
}

#[test]
fn choosing_a_result_opens_the_video_there_whatever_its_name_is() {
    if !is_possible() {
        return;
    }
    let mut odd = hit("lossy", "b-1");
    // /f $(touch x)\n"'<b>&%F café(latin 1).mp4
    let name = b"/f/$(touch x)\n\"'<b>&%F;`id` caf\xe9\x1b[31m.mp4".to_vec();
    odd["path_bytes"] = json!(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &name));
    let world = World::new(&[hit("/-a.mp4", "a-1"), odd]);
    world.ids_of(&["dog"]);
    let metas = world.gnome("GetResultMetas", &[texts(&[&id("b-1", "dog")])]).expect(0);
    metas.says("$(touch x)\\\\n").says("\\\\e[31m");

    world
        .gnome("ActivateResult", &[text(&id("b-1", "dog")), texts(&["dog"]), "4711".to_owned()])
        .expect(0);
    let mut target = name;
    target.extend(b"@192.500");
    let call = world.called("scenectl");
    let expected = [
        OsString::from("--socket"),
        world.socket(),
        "open".into(),
        OsString::from_vec(target),
    ];
    assert_eq!(call, expected);
    let startup_id = fs::read_to_string(world.record("scenectl.startup-id")).unwrap();
    assert!(startup_id.ends_with("_TIME4711"), "{startup_id}");
}

#[test]
fn a_name_that_nobody_gave_opens_nothing() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[hit("/a.mp4", "a-1")]);
    world.ids_of(&["dog"]);
    for forged in [
        "",
        "/etc/passwd",
        "[\"/etc/passwd\",\"dog\"]",
        "[\"a-1\",\"x\"]",
        "[\"a-2\",\"dog\"]",
        "{}",
        "\u{1b}[2J",
    ] {
        let ran = world.gnome("ActivateResult", &[text(forged), texts(&["dog"]), "0".to_owned()]);
        ran.expect(1).complains("there is no such result");
        let metas = world.gnome("GetResultMetas", &[texts(&[forged])]).expect(0);
        assert_eq!(metas.stdout.trim(), "(@aa{sv} [],)", "{forged}");
    }
    assert_eq!(world.calls("scenectl").len(), 0);
}

#[test]
fn show_more_makes_the_page_and_opens_it() {
    if !is_possible() {
        return;
    }
    let world = World::new(&[]);
    world
        .gnome("LaunchSearch", &[texts(&["--json", "$(id)", "a dog"]), "12".to_owned()])
        .expect(0);
    let page = world.home.path().join("run/scened/search.html");
    let call = world.called("scenectl");
    let mut expected: Vec<OsString> = vec!["--socket".into(), world.socket()];
    expected.extend(["search", "-n", "60", "--force", "--html"].map(OsString::from));
    expected.extend([page.clone().into(), "--".into(), "--json $(id) a dog".into()]);
    assert_eq!(call, expected);
    assert_eq!(world.called("xdg-open"), [page.into_os_string()]);
}
