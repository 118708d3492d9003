//! The examples beneath each `--help`.

pub(super) const TOP: &str = "\
Examples:
  scenectl add ~/Videos                          watch a folder
  scenectl search \"a dog digging in the garden\"  find scenes
  scenectl status --watch                        watch the progress of indexing

Exit status: 0 found or done, 1 nothing found, 2 error or usage, 3 daemon unreachable, 4 protocol mismatch.
Colours are used only on a terminal; NO_COLOR=1 turns them off, CLICOLOR_FORCE=1 on.";

pub(super) const SEARCH: &str = "\
Examples:
  scenectl search a red car at night
  scenectl search \"birthday cake\" --in ~/Videos/2023 --not balloons -n 20
  scenectl search sunset --since 2024-05 --until 2024-08 --by video
  scenectl search \"a dog\" --open 2
  scenectl search \"a dog\" --paths | head -1
  scenectl search \"a dog\" -0 | xargs -0 mpv
  scenectl search \"a dog\" -n 100 --html dogs.html
  scenectl search \"a dog\" --playlist dogs.mpv && mpv dogs.mpv
  scenectl search \"a dog\" --edl dogs.edl --otio dogs.otio
  scenectl search --json beach | jq -r '.hits[] | \"\\(.path) \\(.best_ms)\"'

Playlists: VLC uses the times in .m3u8 and .xspf, mpv those in .mpv; other players begin each
video at its start. Timelines take their frame rates from ffprobe.
--since and --until include the date: --since 2024 --until 2024 is all of 2024. The date is the file's, not the recording's.
--preview asks the terminal which graphics it draws (kitty, iTerm2 or sixel, otherwise coloured half blocks).
SCENED_PICTURES=kitty, iterm2, sixel, blocks or none overrides a wrong answer.
Notices and coverage go to standard error. Exit status 1: nothing found.";

pub(super) const SIMILAR: &str = "\
Examples:
  scenectl similar ~/Videos/holiday.mp4@3:15
  scenectl similar picture.jpg -n 5 --preview
  scenectl similar holiday.mp4@3:15 -n 50 --html alike.html
  scenectl similar clip.mkv@1h2m3s --in ~/Videos

If a file with exactly this name exists, `@` is a part of its name.";

#[cfg(feature = "browse")]
pub(super) const BROWSE: &str = "\
Examples:
  scenectl browse
  scenectl browse sunset over the sea --in ~/Videos
  scenectl browse -0 | xargs -0 mpv

Keys: type to search; up, down, page up, page down choose; Enter opens the hit in your player at its moment; Tab marks it;
Ctrl-F filters by folder; Ctrl-Y copies the path (OSC 52); Ctrl-U clears the line; Ctrl-E exports the marked hits, or the chosen one.
The extension of the file decides: a video (.mp4 .m4v .mov .mkv .webm .ts; Tab there cuts at the frame), a playlist
(.m3u8 .xspf .mpv), a page (.html), .edl or .otio. Nothing is replaced.
Esc leaves and prints the paths of the marked hits; Ctrl-O prints them as FILE@TIME; Ctrl-C leaves and prints nothing
(exit status 1), or stops a running export.
The finder draws on the terminal itself, so its output can be piped. It uses SCENED_PICTURES and SCENED_PLAYER as search and open do.";

pub(super) const EVAL: &str = "\
Examples:
  scenectl eval queries.tsv
  scenectl eval queries.tsv --at-least r1=.25 --at-least r10=.6
  scenectl eval queries.tsv --html worst.html
  scenectl eval --record queries.tsv

A line of the file, with tabs between the columns:
  a dog digging in the garden    holiday.mp4    3:12    3:19
Without times any scene of the file is right. Lines with the same query add right moments to it.
Relative paths begin at the folder of the file. A first line may name the columns in another order: query, file, from, to.
JSON is a list of objects with these names. A hit is right if it shows some of a right moment.
Exit status 1: a figure is below what --at-least asks for.";

pub(super) const OPEN: &str = "\
Examples:
  scenectl open ~/Videos/holiday.mp4@3:15
  scenectl search \"a dog\" --open          the first hit
  scenectl search \"a dog\" --open 3
  SCENED_PLAYER=mpv scenectl open clip.mkv@90
  SCENED_PLAYER=\"myplayer --from {seconds} {file}\" scenectl open clip.mkv@1:30

scenectl uses the player that SCENED_PLAYER names, otherwise the desktop's default for the file's type, otherwise an installed one.
mpv, VLC, Celluloid, SMPlayer, MPlayer, ffplay, IINA, QuickTime Player and MPC-HC start at the moment; for any other
player scenectl prints the time. The player keeps running when this terminal is closed.";

pub(super) const SCENES: &str = "\
Examples:
  scenectl scenes ~/Videos/holiday.mp4
  scenectl scenes ~/Videos/holiday.mp4 --preview
  scenectl scenes --json holiday.mp4 | jq '.scenes | length'";

pub(super) const SHEET: &str = "\
Examples:
  scenectl sheet ~/Videos/holiday.mp4                    writes holiday.mp4.html into the current folder
  scenectl sheet holiday.mp4 -o ~/sheet.html --force && xdg-open ~/sheet.html

The page contains its pictures, works offline, and opens the video at the scene. Nothing is replaced without --force.";

pub(super) const EXPORT: &str = "\
Examples:
  scenectl export holiday.mp4@3:12-3:19 -o dog.mp4
  scenectl export holiday.mp4@3:15 -o scene.mkv                     the scene at 3:15
  scenectl export a.mp4@10-15 b.mov@1:00-1:05 -o both.mp4 --exact   joined, cut at the frame
  scenectl search --json \"a dog\" | scenectl export - -o dogs.mp4    every hit

Runs the system's ffmpeg. Without --exact nothing is re-encoded, and each clip begins at the keyframe
before its start. Videos that cannot be joined as they are get re-encoded, and scenectl says so. The new
file's comment names its sources; a recording's location is left out.
Nothing is replaced without --force, and a source video never is.";

pub(super) const STATUS: &str = "\
Examples:
  scenectl status
  scenectl status --watch
  scenectl status --json | jq .videos.pending
  scenectl status --watch --json     one such object per line";

pub(super) const ADD: &str = "\
Examples:
  scenectl add ~/Videos ~/Movies
  scenectl add /media/usb/films && scenectl wait";

pub(super) const REMOVE: &str = "\
Examples:
  scenectl remove ~/Videos/tmp
  scenectl remove /media/usb --keep     its videos stay searchable, marked offline
  scenectl remove ~/Videos --yes        for scripts

Exit status 1: you answered no.";

pub(super) const FORGET: &str = "\
Examples:
  scenectl forget /media/stick           a drive that will not come back
  scenectl forget ~/Videos/2019          the offline videos below a folder
  scenectl forget /media/stick --yes     for scripts

A drive that is away keeps its videos: they stay searchable and are marked offline. Only this command drops them.
If the drive comes back and is still watched, everything on it is indexed again.
Exit status 1: there is nothing to forget, or you answered no.";

pub(super) const FOLDERS: &str = "\
Examples:
  scenectl folders
  scenectl folders --json | jq -r '.folders[].path'";

pub(super) const WAIT: &str = "\
Examples:
  scenectl wait
  scenectl wait --timeout 600 || echo still busy";

pub(super) const RESCAN: &str = "\
Examples:
  scenectl rescan
  scenectl rescan /mnt/nas/films
  scenectl rescan --force ~/Videos/holiday.mp4";

pub(super) const RETRY: &str = "\
Examples:
  scenectl retry
  scenectl retry ~/Videos/broken.mp4";

pub(super) const INCIDENTS: &str = "\
Examples:
  scenectl incidents
  scenectl incidents --json | jq -r '.incidents[] | \"\\(.path): \\(.reason)\"'";

pub(super) const PAUSE: &str = "\
Examples:
  scenectl pause
  scenectl pause --for 2h";

pub(super) const RESUME: &str = "\
Examples:
  scenectl resume";

pub(super) const WHY: &str = "\
Examples:
  scenectl why ~/Videos/holiday.mp4
  scenectl why ~/Videos/holiday.mp4 a dog on the beach";

pub(super) const MODEL: &str = "\
Examples:
  scenectl model list --available
  scenectl model install clip-vit-b32
  scenectl model use clip-vit-b32";

pub(super) const MODEL_LIST: &str = "\
Examples:
  scenectl model list
  scenectl model list --available     models that can be installed by name, with licence and size
  scenectl model list --json | jq -r '.models[] | select(.active) | .name'";

pub(super) const MODEL_INSTALL: &str = "\
Examples:
  scenectl model install clip-vit-b32
  scenectl model install siglip2-b32-256 --precision int8
  scenectl model install onnx-community/siglip2-base-patch16-256-ONNX@main --name siglip2-b16
  scenectl model install ./exported     copies the folder (`model use` uses it in place)
  scenectl model install mobileclip2-s2 --accept-licence

The files go into models/NAME of the data folder, and each is checked against the hub's size and
hash. Without --precision, scenectl downloads fp32 and, if it is published, int8, and compares them on
frames of your videos. It keeps int8 if that is faster and its vectors agree (cosine 0.99), and
deletes the other one. Run the same command again to continue an interrupted download
where it stopped.
Environment: HF_ENDPOINT (another hub), HF_TOKEN or HF_TOKEN_PATH (gated and private repositories),
HF_HOME or HF_HUB_CACHE (files there are used), HTTPS_PROXY, NO_PROXY.
Exit status 1: you did not accept the licence.";

pub(super) const MODEL_USE: &str = "\
Examples:
  scenectl model use starter
  scenectl model use starter --reindex           decodes every video again
  scenectl model use ./clip-vit-base-patch32     a folder: write ./ before its name

Public layouts: Hugging Face (config.json, preprocessor_config.json, tokenizer.json, onnx/) and Immich (config.json, visual/, textual/).";

pub(super) const MODEL_INFO: &str = "\
Examples:
  scenectl model info
  scenectl model info starter";

pub(super) const MODEL_REMOVE: &str = "\
Examples:
  scenectl model remove clip-vit-b32";

pub(super) const DOCTOR: &str = "\
Examples:
  scenectl doctor
  scenectl doctor --json | jq '.checks[] | select(.state != \"ok\")'

Works without a running daemon too. Exit status 2: a check failed.";

pub(super) const COMPLETIONS: &str = "\
Examples:
  scenectl completions bash > ~/.local/share/bash-completion/completions/scenectl
  scenectl completions zsh > ~/.zfunc/_scenectl
  scenectl completions fish > ~/.config/fish/completions/scenectl.fish";

pub(super) const MAN: &str = "\
Examples:
  scenectl man | man -l -
  scenectl man ~/.local/share/man/man1";
