#!/usr/bin/env bash
# A real KRunner on a display of its own: asks it a question, takes a picture of the results, and opens the first. In `make check-long`; the
# picture is for looking at: tests/desktop/krunner.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/desktop/common.sh

need "plasma-workspace xdotool xvfb dbus ffmpeg" krunner xdotool Xvfb dbus-run-session dbus-monitor ffmpeg
begin "${1:-}"
open_display
install_under "$folder/prefix"
record_instead "$folder/player"
export SCENED_PLAYER="$folder/player {seconds} {file}"
serve_library "$folder/prefix"

export XDG_DATA_DIRS=$folder/prefix/share:/usr/local/share:/usr/share QT_QPA_PLATFORM=xcb XDG_CURRENT_DESKTOP=KDE KDE_FULL_SESSION=true
# shellcheck disable=SC2016 # the inner shell fills these in
dbus-run-session -- sh -c '
  dbus-monitor --session "interface=org.kde.krunner1" >"$0/asked" 2>/dev/null &
  exec krunner "fox on the grass"' "$folder" >"$folder/log" 2>&1 &
started+=($!)
wait_for "KRunner's window" 120 xdotool search --onlyvisible --class krunner
wait_for "KRunner to ask" 60 grep -q member=Match "$folder/asked"
wait_for "the results to stay" 60 has_settled_from none
picture krunner
xdotool windowfocus "$(xdotool search --onlyvisible --class krunner | tail -n 1)"
xdotool key Return
wait_for "the first result to be opened" 30 test -s "$folder/records/player"
grep -qx "$HOME/Videos/wild animals.mp4" "$folder/records/player" || {
  echo "$me: the result opened $(cat "$folder/records/player")" >&2
  exit 1
}
echo "$me: $(krunner --version) shows scenes, and opens $(tr '\n' ' ' <"$folder/records/player")"
