#!/usr/bin/env bash
# A real Nautilus on a display of its own, with the menus of desktop/data/python: opens the menus of a folder and of a video, takes pictures
# of them, and chooses items by keyboard until ours has run. In `make check-long`; the pictures are for looking at:
# tests/desktop/nautilus.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/desktop/common.sh

need "nautilus python3-nautilus xdotool xvfb dbus ffmpeg" nautilus xdotool Xvfb dbus-run-session ffmpeg
begin "${1:-}"
size=1000x700
open_display
install_under "$folder/prefix"
# What the items run writes its arguments down instead; nothing is indexed.
record_instead "$folder/prefix/libexec/scened/scened-desktop"
printf '#!/bin/sh\nprintf "%%s" "$*" >"%s/asked"\necho "{\\"folders\\":[]}"\n' "$folder/records" >"$folder/prefix/bin/scenectl"
film="$HOME/Videos/a film's <b> & \$(id).mp4"
ffmpeg -v error -f lavfi -i testsrc2=d=1:s=160x90 "$film"

export GDK_BACKEND=x11 GSK_RENDERER=cairo XDG_DATA_DIRS=$folder/prefix/share:/usr/local/share:/usr/share
dbus-run-session -- nautilus --new-window "$HOME/Videos" >"$folder/log" 2>&1 &
started+=($!)
wait_for "Nautilus's window" 60 xdotool search --onlyvisible --class nautilus
wait_for "the extension to ask for the folders" 60 test -s "$folder/records/asked"
# No window manager is there to give it the keyboard.
xdotool windowfocus "$(xdotool search --onlyvisible --class nautilus | tail -n 1)"
wait_for "the window to be drawn" 30 has_settled_from none
# The menu of the folder: nothing is indexed, as is known by now, so one item offers to.
and_see "the folder's menu" xdotool mousemove 600 450 click 3
picture nautilus-folder
# The menu of the only video; items are chosen by keyboard from the bottom, where ours are above the properties.
ran() { test -s "$folder/records/scened-desktop"; }
ran_or_settled_from() { ran || has_settled_from "$1"; }
for n in 3 2 4; do
  and_see "the menu to go" xdotool key Escape
  xdotool mousemove 600 450 click 1
  and_see "the film's menu" xdotool mousemove 337 130 click 3
  [ "$n" != 3 ] || picture nautilus-film
  and_see "an item to be chosen" xdotool key --repeat "$n" Up
  before=$(screen)
  xdotool key Return
  wait_for "the item to run, or the menu to go" 30 ran_or_settled_from "$before"
  ! ran || break
done
wait_for "an item of ours to run" 5 ran
[ "$(cat "$folder/records/scened-desktop")" = "$(printf 'act\nlike\n%s' "$film")" ] || {
  echo "$me: the item ran $(cat "$folder/records/scened-desktop")" >&2
  exit 1
}
echo "$me: $(nautilus --version 2>/dev/null | tail -1) shows the menus, and an item runs what it says"
