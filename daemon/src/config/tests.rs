use super::*;

const FILE: &str = "/c/config.toml";

fn parse(text: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
    Config::parse(text, Path::new(FILE))
}

/// Returns the messages about a wrong file, without the file's name.
fn mistakes(text: &str) -> Vec<String> {
    let message = match parse(text) {
        Ok((config, _)) => panic!("{text:?} was accepted as {config:?}"),
        Err(e) => e.to_string(),
    };
    let lines = message
        .lines()
        .map(|line| line.strip_prefix("/c/config.toml:").expect("every line names the file").to_owned());
    lines.collect()
}

#[test]
fn a_missing_file_means_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none/config.toml");
    let (config, warnings) = Config::load(&file).unwrap();
    let expected = Config {
        file,
        folders: vec![],
        extensions: config.extensions.clone(),
        ignore: config.ignore.clone(),
        hidden: false,
        follow_symlinks: false,
        settle_seconds: 5,
        rescan_minutes: 60,
        model: "starter".to_owned(),
        crop: Crop::Auto,
        model_idle_seconds: 120,
        providers: vec!["auto".to_owned()],
        gpu_memory_reserve_mib: 512,
        min_free_mib: 256,
        threads: 0,
        on_battery: OnBattery::Pause,
        pressure: 20,
        busy: 25,
        log: "info".to_owned(),
        detector: Detector::Shot,
        scene_mode: SceneMode::Exact,
        max_scene_seconds: 15,
        keyframes: true,
        hardware_decoding: Hardware::None,
        allow_unsandboxed: false,
        extras: Extras::default(),
        onnxruntime: None,
    };
    assert_eq!(config, expected);
    assert_eq!(warnings, []);
    for extension in ["mp4", "mkv", "webm", "mov"] {
        assert!(config.extensions.iter().any(|e| e == extension), "{extension} is not a default");
    }
}

#[test]
fn the_embedded_defaults_are_the_defaults() {
    assert_eq!(parse(DEFAULT_TOML).unwrap(), parse("").unwrap());
}

#[test]
fn every_key_can_be_set() {
    let (config, warnings) = parse(
        r#"
        folders = ["/", "//tmp/./"]
        extensions = [".MP4", "mkv", "mp4"]
        ignore = ["**/raw/**", "*.tmp.mp4"]
        hidden = true
        follow-symlinks = true
        settle-seconds = 0
        rescan-minutes = 1
        model = "/models/clip/"
        crop = "letterbox"
        model-idle-seconds = 86_400
        providers = ["cuda", "cpu", "cuda"]
        gpu-memory-reserve-mib = 1024
        min-free-mib = 64
        threads = 0x10
        on-battery = "run"
        pressure = 0
        busy = 0
        log = "warn,scened::watch=trace"
        detector = "adaptive"
        scene-mode = "fast"
        max-scene-seconds = 3600
        keyframes = false
        hardware-decoding = "videotoolbox"
        allow-unsandboxed = true
        extra-formats = ["nut"]
        extra-codecs = ["magicyuv", "rv40", "magicyuv"]
        onnxruntime = "/opt/libonnxruntime.so"
        "#,
    )
    .unwrap();
    let expected = Config {
        file: FILE.into(),
        folders: vec!["/".into(), "/tmp".into()],
        extensions: vec!["mp4".to_owned(), "mkv".to_owned()],
        ignore: vec!["**/raw/**".to_owned(), "*.tmp.mp4".to_owned()],
        hidden: true,
        follow_symlinks: true,
        settle_seconds: 0,
        rescan_minutes: 1,
        model: "/models/clip".to_owned(),
        crop: Crop::Letterbox,
        model_idle_seconds: 86_400,
        providers: vec!["cuda".to_owned(), "cpu".to_owned()],
        gpu_memory_reserve_mib: 1024,
        min_free_mib: 64,
        threads: 16,
        on_battery: OnBattery::Run,
        pressure: 0,
        busy: 0,
        log: "warn,scened::watch=trace".to_owned(),
        detector: Detector::Adaptive,
        scene_mode: SceneMode::Fast,
        max_scene_seconds: 3600,
        keyframes: false,
        hardware_decoding: Hardware::Videotoolbox,
        allow_unsandboxed: true,
        extras: Extras {
            formats: vec!["nut".to_owned()],
            codecs: vec!["magicyuv".to_owned(), "rv40".to_owned()],
        },
        onnxruntime: Some("/opt/libonnxruntime.so".into()),
    };
    assert_eq!(config, expected);
    assert_eq!(warnings, []);
}

/// Wrong files, each with its message.
const MISTAKES: &[(&str, &str)] = &[
    ("folder = []", "1: unknown key `folder`; did you mean `folders`?"),
    (
        "\n\nsettle_seconds = 5",
        "3: unknown key `settle_seconds`; did you mean `settle-seconds`?",
    ),
    ("Model = 'x'", "1: unknown key `Model`; did you mean `model`?"),
    (
        "[follow-symlink]",
        "1: unknown key `follow-symlink`; did you mean `follow-symlinks`?",
    ),
    (
        "colour = 1",
        "1: unknown key `colour`; the keys are folders, extensions, ignore, hidden, follow-symlinks, settle-seconds, rescan-minutes, model, \
        crop, model-idle-seconds, providers, gpu-memory-reserve-mib, min-free-mib, threads, on-battery, pressure, busy, log, detector, scene-mode, max-scene-seconds, keyframes, \
         hardware-decoding, allow-unsandboxed, extra-formats, extra-codecs, \
         onnxruntime",
    ),
    (
        "settle-seconds = \"5\"",
        "1: `settle-seconds` is \"5\", but must be a whole number of seconds from 0 to 3600",
    ),
    (
        "settle-seconds = 3601",
        "1: `settle-seconds` is 3601, but must be a whole number of seconds from 0 to 3600",
    ),
    (
        "settle-seconds = -1",
        "1: `settle-seconds` is -1, but must be a whole number of seconds from 0 to 3600",
    ),
    (
        "settle-seconds = 1.5",
        "1: `settle-seconds` is a number with a point, but must be a whole number of seconds from 0 to 3600",
    ),
    ("threads = 1000", "1: `threads` is 1000, but must be a whole number from 0 to 256"),
    (
        "rescan-minutes = 0",
        "1: `rescan-minutes` is 0, but must be a whole number of minutes from 1 to 10080",
    ),
    (
        "max-scene-seconds = 1",
        "1: `max-scene-seconds` is 1, but must be a whole number of seconds from 2 to 3600",
    ),
    ("hidden = 'no'", "1: `hidden` is \"no\", but must be true or false"),
    (
        "on-battery = 'stop'",
        "1: `on-battery` is \"stop\", but must be \"pause\" or \"run\"",
    ),
    ("on-battery = true", "1: `on-battery` is true, but must be \"pause\" or \"run\""),
    (
        "detector = 'fast'",
        "1: `detector` is \"fast\", but must be \"shot\", \"content\" or \"adaptive\"",
    ),
    (
        "providers = ['gpu']",
        "1: `providers` is a list with \"gpu\" in it, but must be a list of one or more of \"auto\", \"cpu\", \"cuda\", \"tensorrt\", \"migraphx\", \"rocm\", \"directml\", \"coreml\", \"openvino\" or \"xnnpack\"",
    ),
    (
        "providers = []",
        "1: `providers` is an empty list, but must be a list of one or more of \"auto\", \"cpu\", \"cuda\", \"tensorrt\", \"migraphx\", \"rocm\", \"directml\", \"coreml\", \"openvino\" or \"xnnpack\"",
    ),
    (
        "folders = '/a'",
        "1: `folders` is \"/a\", but must be a list of absolute paths (`~/` is the home folder)",
    ),
    (
        "[folders]",
        "1: `folders` is a table, but must be a list of absolute paths (`~/` is the home folder)",
    ),
    (
        "folders = [\n  '/',\n  1,\n]",
        "3: `folders` is a list with 1 in it, but must be a list of absolute paths (`~/` is the home folder)",
    ),
    (
        "folders = [\n  '/',\n  'Videos',\n]",
        "3: `folders` has \"Videos\", which is a relative path; write it from the root (\"/…/Videos\") or from the home folder (\"~/Videos\")",
    ),
    (
        "folders = ['/a/../b']",
        "1: `folders` has \"/a/../b\", which contains `..`; write the path without it",
    ),
    ("folders = ['']", "1: `folders` has \"\", which is empty"),
    (
        "extensions = ['*.mp4']",
        "1: `extensions` has \"*.mp4\", which is not a file name ending; write it like \"mp4\"",
    ),
    (
        "extra-codecs = ['Cinepak']",
        "1: `extra-codecs` has \"Cinepak\", which is not an FFmpeg name; write it as FFmpeg does, like \"cinepak\"",
    ),
    (
        "extra-formats = ['mov,hls']",
        "1: `extra-formats` has \"mov,hls\", which is not an FFmpeg name; write it as FFmpeg does, like \"cinepak\"",
    ),
    (
        "ignore = ['a[']",
        "1: `ignore` has \"a[\", which is not a glob: unclosed character class; missing ']'",
    ),
    (
        "model = ''",
        "1: `model` is \"\", but must be the name of a model, or the absolute path of its folder",
    ),
    (
        "model = 'models/x'",
        "1: `model` is \"models/x\", which is a relative path; write it from the root (\"/…/models/x\") or from the home folder \
         (\"~/models/x\")",
    ),
    (
        "log = 'verbose'",
        "1: `log` is \"verbose\", but must be \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or filters like \
         \"info,scened::watch=debug\"",
    ),
    (
        "onnxruntime = 'libonnxruntime.so'",
        "1: `onnxruntime` is \"libonnxruntime.so\", which is a relative path; write it from the root (\"/…/libonnxruntime.so\") or from the \
         home folder (\"~/libonnxruntime.so\")",
    ),
];

#[test]
fn mistakes_say_where_what_and_what_is_allowed() {
    for (text, expected) in MISTAKES {
        assert_eq!(mistakes(text), [*expected], "{text}");
    }
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    for (text, line) in [
        ("hidden = true\nfolders = [", "2: not valid TOML: "),
        ("hidden = true\nhidden = true", "2: not valid TOML: "),
        ("hello", "1: not valid TOML: "),
    ] {
        let found = mistakes(text);
        assert!(found.len() == 1 && found[0].starts_with(line), "{text:?} gave {found:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let found = mistakes("threads = 'many'\nfolders = ['x']\ncolor = 1\n");
    let lines: Vec<_> = found.iter().map(|m| m.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["1", "2", "3"], "{found:?}");
}

#[test]
fn a_folder_that_cannot_be_watched_now_is_only_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let here = folder.path().display();
    let text = format!("folders = [\n'{here}',\n'{here}/gone',\n'{here}/a file',\n'{here}/'\n]");
    let (config, warnings) = parse(&text).unwrap();
    assert_eq!(config.folders, [folder.path().to_owned(), folder.path().join("gone"), file]);
    let expected = [
        format!("{FILE}:3: `folders` has \"{here}/gone\", a folder that does not exist; it is watched as soon as it does"),
        format!("{FILE}:4: `folders` has \"{here}/a file\", which is not a folder; it is watched as soon as it is one"),
        format!("{FILE}:5: `folders` has \"{here}/\" twice"),
    ];
    assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn the_home_folder_is_expanded() {
    let (config, _) = parse("folders = ['~/Videos']\nmodel = '~/models/clip'").unwrap();
    let home = directories::BaseDirs::new().unwrap().home_dir().to_owned();
    assert_eq!(config.folders, [home.join("Videos")]);
    assert_eq!(Path::new(&config.model), home.join("models/clip"));
}

#[test]
fn files_that_cannot_be_read_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let message = Config::load(folder.path()).unwrap_err().to_string();
    let here = folder.path().display();
    assert_eq!(
        message,
        format!("cannot read the configuration {here}: Is a directory (os error 21)")
    );
    let file = folder.path().join("latin1.toml");
    std::fs::write(&file, b"model = \"\xe9\"").unwrap();
    let message = Config::load(&file).unwrap_err().to_string();
    assert_eq!(message, format!("{}: the configuration is not UTF-8 text", file.display()));
}

#[test]
fn reference_page_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
    let page = reference_page();
    if std::env::var_os("SCENED_WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap();
    assert!(
        found == page,
        "docs/config.md is not what the code says; write it anew with SCENED_WRITE_REFERENCE=1 cargo test -p scened --lib reference_page_is_current"
    );
}

#[test]
fn the_manual_page_names_every_key_and_its_default() {
    let page = manual_page();
    for key in keys::KEYS {
        assert!(page.contains(&format!(".SS {}\n", key.name)), "{}: {page}", key.name);
    }
    assert!(page.contains("settle\\-seconds = 5\n"), "{page}");
    assert!(!page.contains('`'), "{page}");
}

#[test]
fn reference_snippets_parse_and_name_every_key() {
    let page = reference_page();
    let mut snippets = 0;
    for block in page.split("```toml\n").skip(1) {
        let (snippet, _) = block.split_once("```").expect("every block ends");
        if let Err(e) = parse(snippet) {
            panic!("{snippet}\n{e}");
        }
        snippets += 1;
    }
    assert_eq!(snippets, 1 + keys::KEYS.len());
}

#[test]
fn what_the_documents_put_into_the_file_is_right() {
    let blocks = testkit::documents::blocks(&["toml"]);
    assert!(!blocks.is_empty());
    for block in blocks {
        parse(&block.text).unwrap_or_else(|error| panic!("{}: {error}", block.place));
    }
}
