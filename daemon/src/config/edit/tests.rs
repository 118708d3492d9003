use std::os::unix::fs::{MetadataExt, symlink};

use super::*;

const COMMENTED: &str = r#"# my videos
settle-seconds = 5   # long enough

folders = [
  # the NAS
  "/mnt/nas", # slow
  "/b",       # fast
]

# nothing after this
log = "info"
"#;

/// Returns the file after adding (`+/x`) or removing (`-/x`) folders.
fn edited(before: &str, changes: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, before).unwrap();
    for change in changes {
        let (sign, path) = change.split_at(1);
        let done = if sign == "+" {
            add_folder(&file, Path::new(path))
        } else {
            remove_folder(&file, Path::new(path))
        };
        assert_eq!(done.unwrap(), Edited::Changed, "{change}");
    }
    fs::read_to_string(&file).unwrap()
}

#[test]
fn added_folders_leave_comments_and_form_alone() {
    let expected = COMMENTED.replace("# fast\n", "# fast\n  \"/c\",\n");
    assert_eq!(edited(COMMENTED, &["+/c"]), expected);
}

#[test]
fn removed_folders_take_their_own_comment_along_and_no_other() {
    assert_eq!(edited(COMMENTED, &["-/b"]), COMMENTED.replace("  \"/b\",       # fast\n", ""));
    assert_eq!(edited(COMMENTED, &["-/mnt/nas"]), COMMENTED.replace("  \"/mnt/nas\", # slow\n", ""));
}

#[test]
fn adding_and_removing_the_same_folder_changes_nothing() {
    for before in [
        COMMENTED,
        "folders = [\"/a\", \"/b\"]\n",
        "folders = [\"/a\"] # mine\n",
        "folders = [\n    \"/a\",\n    \"/b\",\n]\n",
        "folders = []\n",
    ] {
        assert_eq!(edited(before, &["+/c", "-/c"]), before);
    }
}

#[test]
fn lists_keep_the_form_they_had() {
    for (before, changes, after) in [
        ("folders = []\n", &["+/a", "+/b"][..], "folders = [\"/a\", \"/b\"]\n"),
        ("folders = [ \"/a\" ]\n", &["+/b"], "folders = [ \"/a\", \"/b\" ]\n"),
        ("folders = [\"/a\", \"/b\", \"/c\"]\n", &["-/a"], "folders = [\"/b\", \"/c\"]\n"),
        ("folders = [\"/a\", \"/b\", \"/c\"]\n", &["-/c"], "folders = [\"/a\", \"/b\"]\n"),
        (
            "folders = [\n  \"/a\" # one\n]\n",
            &["+/b"],
            "folders = [\n  \"/a\", # one\n  \"/b\",\n]\n",
        ),
        ("log = \"debug\"\n", &["+/a"], "log = \"debug\"\nfolders = [\"/a\"]\n"),
        ("folders = ['/a', \"/a/\", \"/b\"]", &["-/a"], "folders = [\"/b\"]\n"),
        ("folders = [\"/a\"]\nhidden = true\n", &["-/a"], "folders = []\nhidden = true\n"),
    ] {
        let found = edited(before, changes);
        assert_eq!(found, after, "{before:?} {changes:?}");
    }
}

#[test]
fn the_model_is_set_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, "# mine\nmodel = \"starter\"  # for now\nhidden = true\n").unwrap();
    assert_eq!(set_model(&file, "starter").unwrap(), Edited::Unchanged);
    assert_eq!(set_model(&file, "/models/clip b32").unwrap(), Edited::Changed);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "# mine\nmodel = \"/models/clip b32\"  # for now\nhidden = true\n");
    // A value that could not be read back is not written.
    let message = set_model(&file, "models/mine").unwrap_err().to_string();
    assert!(
        message.contains("`model` is \"models/mine\", which is a relative path"),
        "{message}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let new = folder.path().join("new.toml");
    set_model(&new, "clip-vit-b32").unwrap();
    assert!(fs::read_to_string(&new).unwrap().ends_with("\nmodel = \"clip-vit-b32\"\n"));
}

#[test]
fn a_new_file_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/er/config.toml");
    assert_eq!(add_folder(&file, Path::new("/a \"quoted\"\nname")).unwrap(), Edited::Changed);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# Configuration of scened."), "{text}");
    let (config, _) = Config::load(&file).unwrap();
    assert_eq!(config.folders, [PathBuf::from("/a \"quoted\"\nname")]);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn folders_that_need_no_change_leave_the_file_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, "folders = [\"~/Videos\"]\n").unwrap();
    let inode = fs::metadata(&file).unwrap().ino();
    let videos = paths::absolute("~/Videos").unwrap();
    assert_eq!(add_folder(&file, &videos).unwrap(), Edited::Unchanged);
    assert_eq!(remove_folder(&file, Path::new("/elsewhere")).unwrap(), Edited::Unchanged);
    assert_eq!(fs::metadata(&file).unwrap().ino(), inode);
    assert_eq!(remove_folder(&file, &videos).unwrap(), Edited::Changed);
}

#[test]
fn links_and_permissions_are_kept_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("dotfiles/scened.toml");
    fs::create_dir(real.parent().unwrap()).unwrap();
    fs::write(&real, "hidden = true\n").unwrap();
    fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("config.toml");
    symlink("dotfiles/scened.toml", &link).unwrap();
    add_folder(&link, Path::new("/a")).unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("dotfiles/scened.toml"));
    assert_eq!(fs::read_to_string(&real).unwrap(), "hidden = true\nfolders = [\"/a\"]\n");
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(real.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn links_whose_target_is_missing_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("config.toml");
    symlink("real.toml", &link).unwrap();
    add_folder(&link, Path::new("/a")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(
        fs::read_to_string(folder.path().join("real.toml"))
            .unwrap()
            .contains("folders = [\"/a\"]")
    );
}

#[test]
fn a_file_that_loading_refuses_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (open, pipe) = (folder.path().join("open.toml"), folder.path().join("pipe.toml"));
    fs::write(&open, COMMENTED).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o666)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    for (file, why) in [(&open, "every user may write to it"), (&pipe, "it is not a file")] {
        let error = add_folder(file, Path::new("/c")).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(fs::read_to_string(&open).unwrap(), COMMENTED);
}

#[test]
fn a_file_with_mistakes_is_not_written() {
    for text in ["folders = [", "folders = \"/a\"\n", "folder = []\n"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        fs::write(&file, text).unwrap();
        let message = add_folder(&file, Path::new("/b")).unwrap_err().to_string();
        let start = format!("the configuration was not changed, because it has errors:\n{}:1: ", file.display());
        assert!(message.starts_with(&start), "{message}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn names_that_toml_cannot_hold_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let name = Path::new(std::ffi::OsStr::from_bytes(b"/caf\xe9"));
    let message = add_folder(&file, name).unwrap_err().to_string();
    assert_eq!(
        message,
        "\"/caf\\xE9\" cannot be written into the configuration, because its name is not UTF-8"
    );
    let message = add_folder(&file, Path::new("Videos")).unwrap_err().to_string();
    assert!(
        message.starts_with("cannot watch \"Videos\", which is a relative path"),
        "{message}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
