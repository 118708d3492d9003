#!/usr/bin/env bash
# What desktops wait for: from a key press to the answer on the session bus (model awake and asleep), the memory of scened-desktop, and a
# thumbnail of a video of two hours. One command prints all of it. Its videos take 6 GB of TMPDIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for program in ffmpeg dbus-daemon gdbus; do
  command -v "$program" >/dev/null || {
    echo "bench: $program is not there (make setup)" >&2
    exit 1
  }
done
# Figures are those of optimised programs; `PROFILE=dev` tries this script out.
profile=${PROFILE:-release}
cargo build --locked --workspace --profile "$profile" --all-features --bins
programs=${CARGO_TARGET_DIR:-target}/${profile/dev/debug}
export SCENED_ONNXRUNTIME=${SCENED_ONNXRUNTIME:-$PWD/.setup/onnxruntime}
echo "== on the session bus (load $(cut -d' ' -f1 /proc/loadavg) on $(nproc) processors)"
cargo test --locked --quiet --profile "$profile" --all-features -p scened-desktop --test session real::measure -- --ignored --exact --nocapture 2>&1 |
  grep -E '^(asleep|warm|memory of)|panicked|FAILED|NOT RUN'

echo "== thumbnails"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
make_film() { # NAME SIZE ENCODER...
  local name=$1 size=$2
  shift 2
  # A few minutes of one video that ships with the project, over and over: what is read and decoded is as in any other.
  ffmpeg -v error -y -i "tests/data/library/long walk.mp4" -an -vf "scale=$size,noise=alls=12:allf=t" "$@" -t 30 "$folder/part.mkv"
  ffmpeg -v error -y -stream_loop -1 -i "$folder/part.mkv" -t 7200 -c copy "$folder/$name"
}
make_film "two hours, 1080p H.264.mkv" 1920:1080 -c:v libx264 -preset veryfast -b:v 2M
make_film "two hours, 2160p HEVC.mkv" 3840:2160 -c:v libx265 -preset ultrafast -b:v 4M -x265-params log-level=error
python3 - "$programs/scened" "$folder"/two* tests/data/library/*.mp4 <<'PYTHON'
import os, resource, subprocess, sys, tempfile, time
program, films = sys.argv[1], sys.argv[2:]
with tempfile.TemporaryDirectory() as folder:
    for film in films:
        times = []
        for _ in range(10):
            began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([program, "thumbnail", "--size", "256", film, os.path.join(folder, "a.png")], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            times.append((time.monotonic() - began, used))
        times.sort()
        print(f"{os.path.basename(film)}: p50 {times[5][0]:.2f} s, longest {times[-1][0]:.2f} s, processor {times[5][1]:.2f} s")
    print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB")
PYTHON
