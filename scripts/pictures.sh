#!/usr/bin/env bash
# Makes the README's pictures from the sample library: docs/pictures/terminal.svg, a recording of scenectl, and docs/pictures/sheet.png,
# a contact sheet as Chromium shows it. Needs what `make demo` needs, Chromium and ffmpeg; both pictures together stay below 200 kB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for program in ffmpeg python3; do
  command -v "$program" >/dev/null || {
    echo "pictures: $program is not there" >&2
    exit 1
  }
done
chromium=
for program in chromium chromium-browser google-chrome; do
  if command -v "$program" >/dev/null; then chromium=$program && break; fi
done
[ -n "$chromium" ] || {
  echo "pictures: Chromium is not there (Debian: apt-get install chromium)" >&2
  exit 1
}

if [ "${1:-}" != beside-the-daemon ]; then
  exec scripts/with_sample_library.sh "${BASH_SOURCE[0]}" beside-the-daemon
fi

pictures=$PWD/docs/pictures
mkdir -p "$pictures"
# So that paths are shown as people see theirs.
home=$(dirname "$SAMPLE_VIDEOS")
python3 scripts/pictures.py "$home" "$pictures/terminal.svg"

sheet=$home/sheet.html
HOME=$home scenectl sheet "$SAMPLE_VIDEOS/music and credits.mp4" -o "$sheet"
# Root may not use Chromium's sandbox; the page is our own.
as_root=()
[ "$(id -u)" != 0 ] || as_root=(--no-sandbox)
"$chromium" --headless=new "${as_root[@]}" --disable-gpu --hide-scrollbars --no-first-run --user-data-dir="$home/chromium" \
  --window-size=1000,640 --screenshot="$home/sheet.png" "file://$sheet" >/dev/null 2>&1
# A palette makes it a third of the size.
ffmpeg -v error -y -i "$home/sheet.png" -vf 'split[a][b];[a]palettegen=max_colors=160[p];[b][p]paletteuse=dither=none' "$pictures/sheet.png"

bytes=$(cat "$pictures"/* | wc -c)
echo "pictures: $pictures, $bytes bytes"
[ "$bytes" -lt 200000 ] || {
  echo "pictures: they are too large for a README" >&2
  exit 1
}
