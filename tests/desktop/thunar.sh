#!/usr/bin/env bash
# A real Thunar on a display of its own, with the menus of desktop/data/python: opens the menu of a video, takes a picture of it, and chooses
# items by keyboard until ours has run. In `make check-long`; the picture is for looking at: tests/desktop/thunar.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/desktop/common.sh

need "thunar thunarx-python gir1.2-thunarx-3.0 xdotool xvfb dbus ffmpeg" thunar xdotool Xvfb dbus-run-session ffmpeg
begin "${1:-}"
size=1000x700
open_display
install_under "$folder/prefix"
record_instead "$folder/prefix/libexec/scened/scened-desktop"
printf '#!/bin/sh\nprintf "%%s" "$*" >"%s/asked"\necho "{\\"folders\\":[]}"\n' "$folder/records" >"$folder/prefix/bin/scenectl"
film="$HOME/Videos/a film's <b> & \$(id).mp4"
ffmpeg -v error -f lavfi -i testsrc2=d=1:s=160x90 "$film"

export GDK_BACKEND=x11 XDG_DATA_DIRS=$folder/prefix/share:/usr/local/share:/usr/share
dbus-run-session -- thunar "$HOME/Videos" >"$folder/log" 2>&1 &
started+=($!)
wait_for "Thunar's window" 60 xdotool search --onlyvisible --class thunar
wait_for "the extension to ask for the folders" 60 test -s "$folder/records/asked"
xdotool windowfocus "$(xdotool search --onlyvisible --class thunar | tail -n 1)"
wait_for "the window to be drawn" 60 has_settled_from none
and_see "the film to be chosen" xdotool key ctrl+a
and_see "the film's menu" xdotool key Menu
picture thunar-film
# Items are chosen by keyboard from the bottom, where ours are above the properties.
ran() { test -s "$folder/records/scened-desktop"; }
ran_or_settled_from() { ran || has_settled_from "$1"; }
for n in 3 2 4; do
  and_see "an item to be chosen" xdotool key --repeat "$n" Up
  before=$(screen)
  xdotool key Return
  wait_for "the item to run, or the menu to go" 30 ran_or_settled_from "$before"
  ! ran || break
  xdotool key Escape
  and_see "the film's menu" xdotool key Menu
done
wait_for "an item of ours to run" 5 ran
[ "$(cat "$folder/records/scened-desktop")" = "$(printf 'act\nlike\n%s' "$film")" ] || {
  echo "$me: the item ran $(cat "$folder/records/scened-desktop")" >&2
  exit 1
}
echo "$me: $(thunar --version 2>/dev/null | head -n 1) shows the menu, and an item runs what it says"
