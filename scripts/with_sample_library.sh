#!/usr/bin/env bash
# Runs COMMAND beside a private daemon that has indexed the sample library with the starter model, and ends the daemon afterwards.
#
#   scripts/with_sample_library.sh COMMAND [ARGUMENTS...]
#
# COMMAND finds the programs first in its PATH, the daemon by SCENED_SOCKET, and the videos in SAMPLE_VIDEOS; its exit status is ours.
# Everything that is written is in one temporary folder; your configuration and data are neither read nor changed.
#
# The dev profile, because `make test` shares what it builds (a release build takes another three minutes or more on two cores) and
# because in it every dependency is optimised: the sample library takes seconds either way.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# SCENED_BUILT names programs that are there already.
programs=${SCENED_BUILT:-}
if [ -z "$programs" ]; then
  scripts/setup.sh
  cargo build --locked --package scened --package scened-worker --package scenectl --bins
  programs=${CARGO_TARGET_DIR:-$PWD/target}/debug
fi
programs=$(cd "$programs" && pwd)

unset SCENED_CONFIG RUST_LOG
export SCENED_ONNXRUNTIME=${SCENED_ONNXRUNTIME:-$PWD/.setup/onnxruntime}
# Said outright, so that it does not matter where the programs were built (CARGO_TARGET_DIR).
export SCENED_WORKER=$programs/scened-worker SCENED_MODELS=$PWD/models PATH=$programs:$PATH

# A short path whatever TMPDIR is: a socket's may have 107 bytes.
home=$(mktemp -d /tmp/scened-demo.XXXXXX)
export SCENED_DATA_DIR=$home/data SCENED_SOCKET=$home/run/scened.sock SAMPLE_VIDEOS=$home/Videos
daemon=

clean_up() {
  local status=$?
  trap - EXIT INT TERM
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  if [ "$status" != 0 ] && [ -s "$home/log" ]; then
    printf '\nThe end of the log of the daemon:\n' >&2
    tail -n 40 "$home/log" >&2
  fi
  rm -rf "$home"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir "$SAMPLE_VIDEOS"
cp -R tests/data/library/. "$SAMPLE_VIDEOS/"
cat >"$home/config.toml" <<END
folders = ["$SAMPLE_VIDEOS"]
settle-seconds = 1
on-battery = "run"
busy = 0
END

echo "A private daemon indexes the sample library ($(find "$SAMPLE_VIDEOS" -name '*.mp4' -o -name '*.mkv' -o -name '*.webm' -o -name '*.mov' | wc -l | tr -d ' ') videos) with the starter model:"
scened --config "$home/config.toml" 2>"$home/log" &
daemon=$!

# Until the socket answers, at most 30 seconds.
for _ in $(seq 300); do
  scenectl status --json >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || {
    echo "demo: the daemon ended" >&2
    exit 1
  }
  sleep 0.1
done
scenectl wait --timeout 300 || {
  scenectl status || true
  echo "demo: the sample library was not indexed" >&2
  exit 1
}
scenectl status

"$@"
