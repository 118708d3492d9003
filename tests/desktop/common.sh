# Sourced by the scripts beside it: a display and a home of their own, with what `make install` installs, and waiting.
#
# A script calls `need PROGRAM...` (what is missing is said aloud, and the script ends well), `begin FOLDER-FOR-PICTURES`, and then waits for
# conditions with a name: nothing here sleeps for as long as something should have taken.
# shellcheck shell=bash

me=$(basename "$0" .sh)

need() { # PACKAGES PROGRAM...
  local packages=$1 program
  shift
  for program in "$@"; do
    command -v "$program" >/dev/null || {
      echo "$me: NOT RUN: $program is not there (Debian: $packages)" >&2
      exit 0
    }
  done
}

started=()
# Ends what was started here, the last first; what runs on the display ends with it.
end() {
  local n
  for ((n = ${#started[@]} - 1; n >= 0; n--)); do
    kill "${started[n]}" 2>/dev/null || true
    wait "${started[n]}" 2>/dev/null || true
  done
  rm -rf "$folder" 2>/dev/null || true
}

begin() { # PICTURES
  # A name without blanks: some desktops take no others for their own folders.
  folder=$(mktemp -d "${TMPDIR:-/tmp}/scened-$me-XXXXXX")
  pictures=${1:-$folder/pictures}
  mkdir -p "$pictures" "$folder/home/Videos" "$folder/run" "$folder/records"
  chmod 700 "$folder/run"
  trap end EXIT
  export HOME=$folder/home XDG_RUNTIME_DIR=$folder/run GSETTINGS_BACKEND=memory NO_AT_BRIDGE=1 LIBGL_ALWAYS_SOFTWARE=1
  export GIO_USE_VFS=local GIO_USE_VOLUME_MONITOR=unix
  unset XDG_DATA_HOME XDG_CONFIG_HOME XDG_CACHE_HOME SCENED_SOCKET SCENED_CONFIG SCENED_DATA_DIR
}

size=1280x800
open_display() {
  DISPLAY=:$((90 + RANDOM % 9000))
  export DISPLAY
  Xvfb "$DISPLAY" -screen 0 "${size}x24" -nolisten tcp >/dev/null 2>&1 &
  started+=($!)
  wait_for "the display" 20 xdotool getmouselocation
}

# Installs this build under $1; the programs that follow are replaced by scripts that write their arguments down.
install_under() { # PREFIX [PROGRAM...]
  local prefix=$1 program
  shift
  PREFIX=$prefix DESTDIR=${DESTDIR:-} SCENED_BUILT=${CARGO_TARGET_DIR:-target}/debug scripts/install.sh >/dev/null
  for program in "$@"; do
    record_instead "${DESTDIR:-}$prefix/$program"
  done
}

# A script that writes its arguments down, one a line, into records/NAME.
record_instead() { # PATH
  printf '#!/bin/sh\nprintf "%%s\\n" "$@" >"%s/new.$$"\nmv "%s/new.$$" "%s/%s"\n' \
    "$folder/records" "$folder/records" "$folder/records" "$(basename "$1")" >"$1"
  chmod 755 "$1"
}

wait_for() { # WHAT SECONDS COMMAND...
  local what=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || {
      echo "$me: waited for $what" >&2
      [ -z "${DISPLAY:-}" ] || picture failed
      [ ! -e "$folder/log" ] || tail -n 20 "$folder/log" >&2
      exit 1
    }
    sleep 0.2
  done
}

picture() { ffmpeg -v error -y -f x11grab -draw_mouse 0 -video_size "$size" -i "$DISPLAY" -frames:v 1 "$pictures/$1.png" || true; }
# What is on the screen, as a number.
screen() { ffmpeg -v error -f x11grab -draw_mouse 0 -video_size "$size" -i "$DISPLAY" -frames:v 1 -f md5 -; }
# Whether the screen has become another than it was, and has stayed so for a moment.
has_settled_from() { # SCREEN
  local now
  now=$(screen)
  [ "$now" != "$1" ] && sleep 0.5 && [ "$(screen)" = "$now" ]
}
# Does something, and waits for the screen to show it.
and_see() { # WHAT COMMAND...
  local what=$1 before
  shift
  before=$(screen)
  "$@"
  wait_for "$what" 30 has_settled_from "$before"
}

# The real daemon, with the sample library indexed.
serve_library() { # PREFIX
  cp tests/data/library/*.mp4 tests/data/library/*.mkv tests/data/library/*.webm "$HOME/Videos/"
  "$1/bin/scened" >"$folder/scened.log" 2>&1 &
  started+=($!)
  wait_for "the daemon" 60 "$1/bin/scenectl" status
  "$1/bin/scenectl" add "$HOME/Videos" >/dev/null
  "$1/bin/scenectl" wait --timeout 600 >/dev/null 2>&1
}
