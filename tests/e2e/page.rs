//! Contact sheets: `search --html`, `similar --html`, `sheet`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use testkit::Sandbox;
use testkit::hung::own_mounts_or_say;

/// Each name tries to break out of its place in the page.
const ODD: &[&[u8]] = &[
    b"plain.mp4",
    b"\"><script>window.pwned=1</script>.mp4",
    b"' onfocus='window.pwned=1.mp4",
    b"new\nline $(touch pwned).mp4",
    b"not utf-8 \xff\xfe.mp4",
    "e\u{301} right\u{202e}4pm 日本 🦊.mp4".as_bytes(),
    b"100% #1 ?a=b&amp;.mp4",
    b"-dash ;.mp4",
];

fn videos_with_odd_names(sandbox: &Sandbox) -> Vec<PathBuf> {
    ODD.iter()
        .enumerate()
        .map(|(index, name)| sandbox.video(OsStr::from_bytes(name), &[("red", 2.0 + 0.2 * index as f64), ("blue", 1.0)]))
        .collect()
}

/// Returns the values of an attribute, in order.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let mark = format!(" {attribute}=\"");
    page.split(&mark).skip(1).map(|rest| rest.split_once('"').unwrap().0).collect()
}

fn unescaped(markup: &str) -> String {
    markup
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[test]
fn a_page_of_odd_names_leads_to_every_video_and_works_in_a_real_browser() {
    let sandbox = Sandbox::new();
    let paths = videos_with_odd_names(&sandbox);
    let _daemon = sandbox.start();
    sandbox.settle();
    let page = sandbox.path().join("hits.html");
    let query = "a red <b>\"thing\"";
    sandbox
        .run(["search", query, "-n", "100", "--html", page.to_str().unwrap()])
        .expect(0)
        .says("~/hits.html: 16 scenes, ");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.len() < 300_000, "{} bytes", html.len());
    let urls: Vec<&str> = values(&html, "href");
    let mut led: Vec<Vec<u8>> = urls
        .iter()
        .map(|url| crate::percent_decoded(url.strip_prefix("file://").unwrap().rsplit_once("#t=").unwrap().0))
        .collect();
    led.sort();
    led.dedup();
    let mut expected: Vec<Vec<u8>> = paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    expected.sort();
    assert_eq!(led, expected);
    // A copied moment survives the shell and works as an argument of scenectl.
    let moments: Vec<String> = values(&html, "data-moment").into_iter().map(unescaped).collect();
    let mut copied: Vec<Vec<u8>> = Vec::new();
    for moment in &moments {
        let output = Command::new("bash")
            .args(["-c", &format!("printf %s {moment}")])
            .current_dir(sandbox.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{moment}");
        let at = output.stdout.iter().rposition(|byte| *byte == b'@').unwrap();
        copied.push(output.stdout[..at].to_vec());
        let word = OsStr::from_bytes(&output.stdout);
        sandbox
            .run([OsStr::new("similar"), word, OsStr::new("-n"), OsStr::new("1")])
            .expect(0);
    }
    copied.sort();
    copied.dedup();
    assert_eq!(copied, expected);
    assert!(!sandbox.path().join("pwned").is_file());

    in_chromium(&sandbox, &page, &moments, &urls);
}

/// Tests the page in Chromium. Prints that it is skipped if Chromium is not installed (`make check-long` installs it).
fn in_chromium(sandbox: &Sandbox, page: &Path, moments: &[String], urls: &[&str]) {
    let Some(chromium) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| runs(name))
    else {
        eprintln!("the page in a real browser: NOT TESTED HERE: there is no Chromium (apt-get install chromium, or make check-long)");
        return;
    };
    // Debian's Chromium plays H.264. It plays the odd name with the hardest URL.
    let plays = urls.iter().position(|url| url.contains("%FF%FE")).unwrap();
    let at: f64 = urls[plays].rsplit_once("#t=").unwrap().1.parse().unwrap();
    let expected = sandbox.path().join("expected.json");
    fs::write(
        &expected,
        json!({"moments": moments, "urls": urls, "plays": plays, "at": at}).to_string(),
    )
    .unwrap();
    let output = Command::new("python3")
        .arg(testkit::repository().join("tests/browser/check_page.py"))
        .args([Path::new(chromium), page, &expected, sandbox.path()])
        .output()
        .unwrap();
    if let Some(kept) = std::env::var_os("SCENED_TEST_SCREENSHOTS") {
        for name in ["light.png", "dark.png", "narrow.png"] {
            // Some of them may be missing after a failure.
            fs::copy(sandbox.path().join(name), Path::new(&kept).join(name)).ok();
        }
    }
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[test]
fn a_sheet_shows_all_scenes_and_is_named_after_the_video() {
    let sandbox = Sandbox::new();
    let video = sandbox.video("holiday's \"best\".mp4", &[("red", 1.0), ("green", 1.0), ("blue", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let sheet = |more: &[&OsStr]| {
        let output = sandbox
            .command("scenectl")
            .arg("sheet")
            .arg(&video)
            .args(more)
            .current_dir(sandbox.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        testkit::Ran::from(&output)
    };
    sheet(&[]).expect(0).says("~/holiday's \"best\".mp4.html: 3 scenes, ");
    let page = sandbox.path().join("holiday's \"best\".mp4.html");
    let html = fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("src=\"data:image/jpeg;base64,").count(), 3, "{html}");
    assert!(html.contains("<h1><bdi>holiday&#39;s &quot;best&quot;.mp4</bdi></h1>"), "{html}");
    assert!(html.contains("3 scenes in 0:00:03"), "{html}");
    assert_eq!(
        values(&html, "href")
            .iter()
            .map(|url| url.rsplit_once("#t=").unwrap().1)
            .collect::<Vec<_>>(),
        ["0.000", "1.000", "2.000"]
    );

    // A second time: refused, then with --force; as JSON; a video that is not indexed.
    sheet(&[]).expect(2).complains("exists already").complains("--force");
    sheet(&["--force".as_ref()]).expect(0);
    let told = sheet(&["-o".as_ref(), "other.html".as_ref(), "--json".as_ref()]).expect(0);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&told["kind"], &told["n"]), (&json!("html"), &json!(3)), "{told}");
    assert_eq!(told["path"], json!(sandbox.path().canonicalize().unwrap().join("other.html")));
    sandbox
        .say("sheet /nowhere/film.mp4")
        .expect(2)
        .complains("is not in the index")
        .complains("scenectl why");
    // The video itself is never overwritten.
    sheet(&["-o".as_ref(), video.as_os_str(), "--force".as_ref()])
        .expect(2)
        .complains("never overwrites a video");
    assert!(fs::metadata(&video).unwrap().len() > 1000);
}

#[test]
fn a_page_says_what_is_gone_or_offline_and_on_which_drive() {
    let sandbox = Sandbox::new();
    let away = sandbox.path().join("drive");
    sandbox.configure(&format!("folders = [{:?}, {away:?}]", sandbox.videos()));
    sandbox.video_at(&away.join("red.mp4"), &[("red", 1.0)]);
    let gone = sandbox.video("gone.mp4", &[("red", 1.2)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    fs::rename(&away, sandbox.path().join("unplugged")).unwrap();
    sandbox.say("rescan").expect(0);
    sandbox.settle();
    assert_eq!(sandbox.counts(), [1, 0, 0, 1]);
    // The daemon may not have noticed yet that the file is gone; the page reflects what is there now.
    let page = sandbox.path().join("hits.html");
    fs::remove_file(&gone).unwrap();
    sandbox.run(["search", "red", "--html", page.to_str().unwrap()]).expect(0);
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("class=\"away\">offline: on "), "{html}");
    assert!(html.contains(", last seen 20"), "{html}");
    assert!(html.contains("class=\"away\">gone<") || !html.contains("gone.mp4"), "{html}");
}

/// Unmounts before the sandbox is removed.
struct Unmounts(PathBuf);

impl Drop for Unmounts {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

#[test]
fn nothing_found_writes_nothing() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.start();
    sandbox.settle();
    let page = sandbox.path().join("hits.html");
    sandbox
        .run(["search", "red", "--html", page.to_str().unwrap()])
        .expect(1)
        .complains("nothing found");
    assert!(!page.is_file());
}

#[test]
fn what_cannot_be_written_says_why_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let video = sandbox.video("film.mp4", &[("red", 1.0)]);
    let _daemon = sandbox.start();
    sandbox.settle();
    let search = |page: &Path| sandbox.run([OsStr::new("search"), OsStr::new("red"), OsStr::new("--html"), page.as_os_str()]);
    search(&sandbox.path().join("none/page.html"))
        .expect(2)
        .complains("there is no folder")
        .complains("make the folder first");
    search(sandbox.path())
        .expect(2)
        .complains("cannot be replaced, because it is not a regular file");
    search(&video).expect(2).complains("never overwrites a video");
    if !own_mounts_or_say("a full and a read-only target") {
        return;
    }
    let (full, read_only) = (sandbox.path().join("full"), sandbox.path().join("read-only"));
    for (point, options) in [(&full, "size=16k"), (&read_only, "ro")] {
        fs::create_dir(point).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(point);
        assert!(mount.status().unwrap().success(), "{mount:?}");
    }
    let _unmounts = [Unmounts(full.clone()), Unmounts(read_only.clone())];
    fs::write(full.join("filler"), [0; 12 << 10]).unwrap();
    search(&full.join("page.html"))
        .expect(2)
        .complains("No space left")
        .complains("free some space");
    search(&read_only.join("page.html"))
        .expect(2)
        .complains("Read-only")
        .complains("choose a folder");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1, "a draft was left");
}
