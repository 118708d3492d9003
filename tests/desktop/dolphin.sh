#!/usr/bin/env bash
# A real Dolphin on a display of its own, with the service menus of desktop/data/servicemenus: opens the menu of a video, takes a picture of
# it, and runs the first of our items. In `make check-long`; the picture is for looking at: tests/desktop/dolphin.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/desktop/common.sh

need "dolphin xdotool xvfb dbus ffmpeg" dolphin xdotool Xvfb dbus-run-session ffmpeg
begin "${1:-}"
size=1000x700
open_display
install_under "$folder/prefix"
record_instead "$folder/prefix/libexec/scened/scened-desktop"
film="$HOME/Videos/a film's <b> & \$(id).mp4"
ffmpeg -v error -f lavfi -i testsrc2=d=1:s=160x90 "$film"

export XDG_DATA_DIRS=$folder/prefix/share:/usr/local/share:/usr/share QT_QPA_PLATFORM=xcb XDG_CURRENT_DESKTOP=KDE
dbus-run-session -- dolphin --new-window --select "$film" >"$folder/log" 2>&1 &
started+=($!)
wait_for "Dolphin's window" 60 xdotool search --onlyvisible --class dolphin
xdotool windowfocus "$(xdotool search --onlyvisible --class dolphin | tail -n 1)"
wait_for "the window to be drawn" 60 has_settled_from none
# Items are chosen by keyboard from the bottom, where ours are above the properties.
ran() { test -s "$folder/records/scened-desktop"; }
ran_or_settled_from() { ran || has_settled_from "$1"; }
for n in 3 2 4; do
  and_see "the film's menu" xdotool key Menu
  [ "$n" != 3 ] || picture dolphin-film
  and_see "an item to be chosen" xdotool key --repeat "$n" Up
  before=$(screen)
  xdotool key Return
  wait_for "the item to run, or the menu to go" 30 ran_or_settled_from "$before"
  ! ran || break
  xdotool key Escape
done
wait_for "an item of ours to run" 5 ran
[ "$(cat "$folder/records/scened-desktop")" = "$(printf 'act\nlike\n%s' "$film")" ] || {
  echo "$me: the item ran $(cat "$folder/records/scened-desktop")" >&2
  exit 1
}
echo "$me: $(dolphin --version) shows the menu, and an item runs what it says"
