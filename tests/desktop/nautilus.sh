#!/usr/bin/env bash
# A real Nautilus on a display of its own, with the menus of desktop/data/python: opens the menu of a film, takes a picture of it, and
# chooses items by keyboard until ours has run. In `make check-long`; the picture is for looking at: tests/desktop/nautilus.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for program in nautilus xdotool Xvfb dbus-run-session ffmpeg; do
  command -v "$program" >/dev/null || {
    echo "nautilus: NOT RUN: $program is not there (Debian: nautilus python3-nautilus xdotool xvfb dbus ffmpeg)" >&2
    exit 0
  }
done
folder=$(mktemp -d)
pictures=${1:-$folder}
mkdir -p "$pictures"
display=:$((90 + RANDOM % 900))
Xvfb "$display" -screen 0 1000x700x24 -nolisten tcp >/dev/null 2>&1 &
screen=$!
trap 'kill $screen 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT

export PREFIX=$folder/prefix SCENED_BUILT=${CARGO_TARGET_DIR:-target}/debug
unset DESTDIR
scripts/install.sh >/dev/null
mkdir "$folder/Videos" "$folder/records" "$folder/run"
chmod 700 "$folder/run"
# What the items run writes its arguments down instead.
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >"%s/ran"\n' "$folder/records" >"$PREFIX/libexec/scened/scened-desktop"
printf '#!/bin/sh\nprintf "%%s" "$*" >"%s/asked"\necho "{\\"folders\\":[]}"\n' "$folder/records" >"$PREFIX/bin/scenectl"
ffmpeg -v error -f lavfi -i testsrc2=d=1:s=160x90 "$folder/Videos/a film's <b> & \$(id).mp4"

wait_for() { # WHAT SECONDS COMMAND...
  local what=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || {
      echo "nautilus: waited for $what" >&2
      tail -n 20 "$folder/nautilus.log" >&2
      exit 1
    }
    sleep 0.2
  done
}
picture() { ffmpeg -v error -y -f x11grab -video_size 1000x700 -i "$display" -frames:v 1 "$pictures/$1.png"; }

export DISPLAY=$display HOME=$folder XDG_RUNTIME_DIR=$folder/run GDK_BACKEND=x11 GSK_RENDERER=cairo LIBGL_ALWAYS_SOFTWARE=1 NO_AT_BRIDGE=1
export XDG_DATA_DIRS=$PREFIX/share:/usr/local/share:/usr/share GSETTINGS_BACKEND=memory
wait_for "the display" 20 xdotool getmouselocation
dbus-run-session -- nautilus --new-window "$folder/Videos" >"$folder/nautilus.log" 2>&1 &
wait_for "Nautilus's window" 60 xdotool search --onlyvisible --class nautilus
wait_for "the extension to ask for the folders" 60 test -s "$folder/records/asked"
# No window manager is there to give it the keyboard.
xdotool windowfocus "$(xdotool search --onlyvisible --class nautilus | tail -n 1)"
# The menu of the folder: nothing is indexed, as is known by now, so one item offers to.
xdotool mousemove 600 450 click 3
sleep 1.5
picture folder
# The menu of the only film; items are chosen by keyboard from the bottom, where ours are above the properties.
for n in 3 2 4; do
  xdotool key Escape mousemove 600 450 click 1
  sleep 0.5
  xdotool mousemove 337 130 click 3
  sleep 1.5
  [ "$n" != 3 ] || picture film
  for _ in $(seq 1 "$n"); do xdotool key Up && sleep 0.1; done
  xdotool key Return
  sleep 1
  [ ! -s "$folder/records/ran" ] || break
  xdotool key Escape
done
picture after
wait_for "an item of ours to run" 2 test -s "$folder/records/ran"
expected=$(printf 'act\nlike\n%s' "$folder/Videos/a film's <b> & \$(id).mp4")
[ "$(cat "$folder/records/ran")" = "$expected" ] || {
  echo "nautilus: the item ran $(cat "$folder/records/ran")" >&2
  exit 1
}
echo "nautilus: $(nautilus --version 2>/dev/null | tail -1) shows the menu, and its item runs what it says"
