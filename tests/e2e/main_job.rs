//! The main job: a folder of videos, and a query.

use testkit::{Sandbox, copy_tree, documents, library};

use crate::name;

/// The test asks every caption of the sample library's truth file. The issue requires the right scene first for nine in ten.
const WANTED: f64 = 0.9;

#[test]
fn the_sample_library_answers_its_own_captions() {
    let (folder, videos) = library();
    let sandbox = Sandbox::new();
    copy_tree(&folder, &sandbox.videos(), &|path| {
        path.extension().is_some_and(|e| e != "py" && e != "json" && e != "md")
    });
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(
        sandbox.counts(),
        [videos.len() as u64, 0, 0, 0],
        "{}",
        sandbox.say("incidents").stdout
    );

    let (mut n, mut n_first, mut n_overlapping, mut wrong) = (0, 0, 0, Vec::new());
    for video in &videos {
        let path = sandbox.videos().join(video["path"].as_str().unwrap());
        for scene in video["scenes"].as_array().unwrap() {
            let caption = scene["caption"].as_str().unwrap();
            let (start, end) = (scene["start_ms"].as_u64().unwrap(), scene["end_ms"].as_u64().unwrap());
            let hits = sandbox.search(caption);
            let first = &hits[0];
            let (found_start, found_end) = (first["start_ms"].as_u64().unwrap(), first["end_ms"].as_u64().unwrap());
            let common = end.min(found_end).saturating_sub(start.max(found_start));
            let overlap = common as f64 / (end.max(found_end) - start.min(found_start)) as f64;
            let right = first["path"] == path.to_str().unwrap() && common > 0;
            n += 1;
            n_first += u32::from(right);
            n_overlapping += u32::from(right && overlap >= 0.5);
            if !right || overlap < 0.5 {
                wrong.push(format!(
                    "{caption:?}: {} {found_start}–{found_end} ms instead of {} {start}–{end} ms",
                    name(first),
                    path.display()
                ));
            }
        }
    }
    eprintln!("sample library: right scene first for {n_first} of {n} captions, with at least half of its time range {n_overlapping}");
    assert!(
        f64::from(n_overlapping) >= WANTED * f64::from(n),
        "{n_overlapping} of {n}:\n{}",
        wrong.join("\n")
    );
    what_the_readme_shows_is_what_is_printed(&sandbox);
}

/// Compares confidences with a tolerance, because processors round differently.
fn what_the_readme_shows_is_what_is_printed(sandbox: &Sandbox) {
    let blocks = documents::blocks(&["console"]);
    let shown = blocks.iter().find(|block| block.place.starts_with("README.md"));
    let shown = &shown.expect("the README has an example").text;
    let typed = &documents::commands_of("scenectl");
    let (_, words) = typed
        .iter()
        .find(|(place, _)| place.starts_with("README.md"))
        .expect("it asks scenectl");
    let printed = sandbox.run(&words[1..]).expect(0).stdout.replace("~/films/", "~/Videos/");
    let rows = |text: &str| -> Vec<(f64, String)> {
        let lines = text.lines().filter(|line| !line.starts_with("$ "));
        let cells = lines.map(|line| line.split("  ").collect::<Vec<_>>());
        cells
            .map(|cells| (cells[1].parse().unwrap(), [&cells[..1], &cells[2..]].concat().join("  ")))
            .collect()
    };
    let (shown_rows, printed_rows) = (rows(shown), rows(&printed));
    let is_same = |((a, x), (b, y)): (&(f64, String), &(f64, String))| x == y && (a - b).abs() < 0.03;
    assert!(
        shown_rows.len() == printed_rows.len() && shown_rows.iter().zip(&printed_rows).all(is_same),
        "the README shows\n{shown}\nand scenectl prints\n{printed}"
    );
}

#[test]
fn a_folder_becomes_answers_with_file_and_time() {
    let sandbox = Sandbox::new();
    sandbox.video("two.mp4", &[("red", 1.0), ("green", 1.2)]);
    sandbox.video("sub/one.mp4", &[("blue", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let hits = sandbox.search("a green background");
    assert_eq!(name(&hits[0]), "two.mp4", "{hits:#?}");
    assert_eq!((&hits[0]["start_ms"], &hits[0]["end_ms"]), (&1000.into(), &2200.into()));
    let best = hits[0]["best_ms"].as_u64().unwrap();
    assert!((1000..2200).contains(&best), "{best}");
    sandbox
        .run(["search", "a blue background", "-n", "1"])
        .expect(0)
        .says("~/films/sub/one.mp4  0:00:00 – 0:00:01")
        .complains("the starter model is in use");
}
