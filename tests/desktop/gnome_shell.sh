#!/usr/bin/env bash
# A real GNOME Shell on a display of its own: types a question into its overview, takes a picture of the results, and opens the first. In
# `make check-long`; the picture is for looking at: tests/desktop/gnome_shell.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/desktop/common.sh

need "gnome-shell xdotool xvfb dbus ffmpeg" gnome-shell xdotool Xvfb dbus-run-session dbus-monitor ffmpeg
begin "${1:-}"
open_display
install_under "$folder/prefix"
record_instead "$folder/player"
export SCENED_PLAYER="$folder/player {seconds} {file}"
serve_library "$folder/prefix"

export XDG_DATA_DIRS=$folder/prefix/share:/usr/local/share:/usr/share XDG_CURRENT_DESKTOP=GNOME XDG_SESSION_TYPE=x11
# The shell wants a system bus; there is none with a login manager, so it asks the session's and goes without.
# shellcheck disable=SC2016 # the inner shell fills these in
dbus-run-session -- sh -c 'export DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS
  echo "$DBUS_SESSION_BUS_ADDRESS" >"$0/bus"
  dbus-monitor --session "interface=org.gnome.Shell.SearchProvider2" >"$0/asked" 2>/dev/null &
  exec gnome-shell --x11 --mode=user' "$folder" >"$folder/log" 2>&1 &
started+=($!)
wait_for "GNOME Shell" 120 grep -q "GNOME Shell started" "$folder/log"

# The overview is open in the beginning, and takes what is typed. The first letters wake the model and find nothing; a question that is
# asked again finds it.
asks_for_descriptions() {
  grep -q member=GetResultMetas "$folder/asked" || {
    xdotool key BackSpace type --delay 200 s
    return 1
  }
}
and_see "the search" xdotool type --delay 150 "fox on the grass"
wait_for "the shell to ask what the results are" 120 asks_for_descriptions
before=$(screen)
wait_for "the results to stay" 30 has_settled_from "$before-"
picture gnome-shell
xdotool key Return
wait_for "the first result to be opened" 30 test -s "$folder/records/player"
grep -qx "$HOME/Videos/wild animals.mp4" "$folder/records/player" || {
  echo "$me: the result opened $(cat "$folder/records/player")" >&2
  exit 1
}
echo "$me: $(gnome-shell --version) shows scenes, and opens $(tr '\n' ' ' <"$folder/records/player")"
