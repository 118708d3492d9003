#!/usr/bin/env bash
# The thumbnailer as real desktops run it: GNOME's library in its own sandbox, Xfce's tumblerd over D-Bus, and a Nautilus full of videos. In
# `make check-long`; the pictures are for looking at: tests/desktop/thumbnails.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/desktop/common.sh

# GNOME's sandbox sees /usr and nothing else. So that nothing has to be put there, /usr/local is another folder for this script and what it
# starts.
if [ -z "${SCENED_STAGE:-}" ]; then
  need "bubblewrap" bwrap
  stage=$(mktemp -d "${TMPDIR:-/tmp}/scened-stage-XXXXXX")
  trap 'rm -rf "$stage"' EXIT
  DESTDIR=$stage install_under /usr/local
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(--user --map-root-user)
  unshare "${as_root[@]}" --mount true 2>/dev/null || {
    echo "$me: NOT RUN: this system lets nobody make a name space of mounts" >&2
    exit 0
  }
  SCENED_STAGE=$stage unshare "${as_root[@]}" --mount --propagation private "$0" "$@"
  exit
fi
mount --bind "$SCENED_STAGE/usr/local" /usr/local
begin "${1:-}"
export XDG_DATA_DIRS=/usr/local/share:/usr/share
unset PYTHONHOME PYTHONPATH

# Each begins with black and a card, so that a thumbnailer that takes what comes first is seen.
films=("a film's <b> & \$(touch pwned).mp4" "-plain.mkv" $'two\nlines %s %o "x".mp4')
n=0
for film in "${films[@]}"; do
  n=$((n + 1))
  ffmpeg -v error -f lavfi -i color=black:s=640x360:d=6 -f lavfi -i color=navy:s=640x360:d=6 -f lavfi -i "mandelbrot=s=640x360:start_scale=$n,trim=duration=8" \
    -filter_complex '[0]setsar=1[a];[1]setsar=1[b];[2]fps=25,setsar=1,format=yuv420p[c];[a][b][c]concat=n=3' -preset ultrafast -g 25 "file:$HOME/Videos/$film"
done

# Fails where a picture is missing, or dark all over: then it was not ours.
cat >"$folder/look.py" <<'PYTHON'
import sys
import gi
gi.require_version("GdkPixbuf", "2.0")
from gi.repository import GdkPixbuf
for path in sys.argv[1:]:
    picture = GdkPixbuf.Pixbuf.new_from_file(path)
    pixels = picture.get_pixels()
    mean = sum(pixels) / len(pixels)
    colours = len(set(zip(pixels[0::97], pixels[1::97])))
    print(f"{picture.get_width()}x{picture.get_height()}, mean {mean:.0f}, {colours} colours")
    if max(picture.get_width(), picture.get_height()) != 256 or colours < 40:
        sys.exit(f"{path} does not show the scene")
PYTHON
python=/usr/bin/python3
has_gi() { "$python" -c 'import gi; gi.require_version("'"$1"'", "'"$2"'"); from gi.repository import '"$1" 2>/dev/null; }

# --- GNOME's library ---------------------------------------------------------------------------------------------------------------
if has_gi GnomeDesktop 3.0; then
  cat >"$folder/gnome.py" <<'PYTHON'
import sys
import gi
gi.require_version("GnomeDesktop", "3.0")
from gi.repository import GLib, GnomeDesktop
factory = GnomeDesktop.DesktopThumbnailFactory.new(GnomeDesktop.DesktopThumbnailSize.LARGE)
for number, path in enumerate(sys.argv[2:]):
    kind = "video/x-matroska" if path.endswith(".mkv") else "video/mp4"
    picture = factory.generate_thumbnail(GLib.filename_to_uri(path, None), kind, None)
    picture.savev(f"{sys.argv[1]}/gnome-{number}.png", "png", [], [])
PYTHON
  paths=()
  for film in "${films[@]}"; do paths+=("$HOME/Videos/$film"); done
  G_MESSAGES_DEBUG=GnomeDesktop dbus-run-session -- "$python" "$folder/gnome.py" "$pictures" "${paths[@]}" >"$folder/log" 2>&1 || {
    tail -n 20 "$folder/log" >&2
    exit 1
  }
  [ "$(grep -c -- '--seccomp [0-9]* /usr/local/bin/scened thumbnail' "$folder/log")" = ${#films[@]} ] || {
    echo "$me: GNOME did not run our thumbnailer in its sandbox" >&2
    cat "$folder/log" >&2
    exit 1
  }
  "$python" "$folder/look.py" "$pictures"/gnome-[0-9].png >"$folder/said"
  echo "$me: GNOME's library runs it in its sandbox: $(tr '\n' ';' <"$folder/said")"
else
  echo "$me: NOT RUN: GNOME's library (Debian: python3-gi gir1.2-gnomedesktop-3.0)" >&2
fi

# --- tumblerd ----------------------------------------------------------------------------------------------------------------------
if [ -e /usr/share/dbus-1/services/org.xfce.Tumbler.Thumbnailer1.service ] && has_gi GdkPixbuf 2.0; then
  cat >"$folder/tumbler.py" <<'PYTHON'
import hashlib
import os
import shutil
import sys
from gi.repository import Gio, GLib
name, path = "org.freedesktop.thumbnails.Thumbnailer1", "/org/freedesktop/thumbnails/Thumbnailer1"
bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
loop = GLib.MainLoop()
bus.signal_subscribe(None, name, "Finished", path, None, 0, lambda *_: loop.quit())
GLib.timeout_add_seconds(120, lambda: os._exit(9))
uris = [GLib.filename_to_uri(film, None) for film in sys.argv[2:]]
kinds = ["video/x-matroska" if film.endswith(".mkv") else "video/mp4" for film in sys.argv[2:]]
request = GLib.Variant("(asasssu)", (uris, kinds, "large", "default", 0))
bus.call_sync(name, path, name, "Queue", request, None, 0, 100000, None)
loop.run()
for number, uri in enumerate(uris):
    cached = os.path.expanduser(f"~/.cache/thumbnails/large/{hashlib.md5(uri.encode()).hexdigest()}.png")
    shutil.copy(cached, f"{sys.argv[1]}/tumbler-{number}.png")
PYTHON
  paths=()
  for film in "${films[@]}"; do paths+=("$HOME/Videos/$film"); done
  G_MESSAGES_DEBUG=all dbus-run-session -- "$python" "$folder/tumbler.py" "$pictures" "${paths[@]}" >"$folder/log" 2>&1 || {
    tail -n 20 "$folder/log" >&2
    exit 1
  }
  [ "$(grep -c '/usr/local/bin/scened" thumbnail .*Handling URI' "$folder/log")" = ${#films[@]} ] || {
    echo "$me: tumblerd did not choose our thumbnailer" >&2
    grep -i handling "$folder/log" >&2
    exit 1
  }
  "$python" "$folder/look.py" "$pictures"/tumbler-[0-9].png >"$folder/said"
  echo "$me: tumblerd chooses it: $(tr '\n' ';' <"$folder/said")"
  rm -rf "$HOME/.cache/thumbnails"
else
  echo "$me: NOT RUN: tumblerd (Debian: tumbler python3-gi)" >&2
fi

# --- Nautilus ----------------------------------------------------------------------------------------------------------------------
need "nautilus xdotool xvfb dbus ffmpeg" nautilus xdotool Xvfb dbus-run-session ffmpeg
rm "$HOME"/Videos/*
cp tests/data/library/*.mp4 tests/data/library/*.mkv tests/data/library/*.webm "$HOME/Videos/"
size=1000x700
open_display
export GDK_BACKEND=x11 GSK_RENDERER=cairo
dbus-run-session -- nautilus --new-window "$HOME/Videos" >"$folder/log" 2>&1 &
started+=($!)
are_all_there() { [ "$(find "$HOME/.cache/thumbnails" -name '*.png' -not -path '*/fail/*' | wc -l)" = "$(find "$HOME/Videos" -type f | wc -l)" ]; }
wait_for "the thumbnails of all films" 180 are_all_there
wait_for "the window to be drawn" 30 has_settled_from none
picture nautilus-thumbnails
echo "$me: $(nautilus --version 2>/dev/null | tail -1) shows $(find "$HOME/.cache/thumbnails" -name '*.png' | wc -l) videos by their thumbnails"
