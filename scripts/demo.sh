#!/usr/bin/env bash
# The main job on the sample library: a private daemon indexes it with the starter model, and answers are compared with the truth.
#
# Everything it writes is in one temporary folder; it neither reads nor changes your configuration and data. Exit status 1 when an
# answer is wrong.
#
# The dev profile, because `make test` shares what it builds (a release build takes another three minutes or more on two cores) and
# because in it every dependency is optimised: the sample library takes seconds either way.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
cargo build --locked --package scened --package scened-worker --package scenectl --bins
programs=${CARGO_TARGET_DIR:-$PWD/target}/debug

unset SCENED_CONFIG RUST_LOG
export SCENED_ONNXRUNTIME=${SCENED_ONNXRUNTIME:-$PWD/.setup/onnxruntime}
# Said outright, so that it does not matter where the programs were built (CARGO_TARGET_DIR).
export SCENED_WORKER=$programs/scened-worker SCENED_MODELS=$PWD/models

# A short path whatever TMPDIR is: a socket's may have 107 bytes.
home=$(mktemp -d /tmp/scened-demo.XXXXXX)
export SCENED_DATA_DIR=$home/data SCENED_SOCKET=$home/run/scened.sock
daemon=

clean_up() {
  local status=$?
  trap - EXIT INT TERM
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  if [ "$status" != 0 ] && [ -s "$home/log" ]; then
    printf '\ndemo: the end of the log of the daemon:\n' >&2
    tail -n 40 "$home/log" >&2
  fi
  rm -rf "$home"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir "$home/Videos"
cp -R tests/data/library/. "$home/Videos/"
cat >"$home/config.toml" <<END
folders = ["$home/Videos"]
settle-seconds = 1
on-battery = "run"
busy = 0
END

echo "A private daemon indexes the sample library ($(find "$home/Videos" -name '*.mp4' -o -name '*.mkv' -o -name '*.webm' -o -name '*.mov' | wc -l | tr -d ' ') videos) with the starter model:"
"$programs/scened" --config "$home/config.toml" 2>"$home/log" &
daemon=$!

# Until the socket answers, at most 30 seconds.
for _ in $(seq 300); do
  "$programs/scenectl" status --json >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || {
    echo "demo: the daemon ended" >&2
    exit 1
  }
  sleep 0.1
done
"$programs/scenectl" wait --timeout 300 || {
  "$programs/scenectl" status || true
  echo "demo: the sample library was not indexed" >&2
  exit 1
}
"$programs/scenectl" status

python3 scripts/demo.py "$programs/scenectl" "$home/Videos" tests/data/library/truth.json

cat <<'END'

That was the starter model, which knows drawn things. For your own films:

  make install                    programs, starter model and user units under ~/.local
  systemctl --user enable --now scened.socket scened.service     (without systemd: run scened in a terminal)
  scenectl add ~/Videos
  scenectl wait
  scenectl model list             which models there are, and how to get one that knows real footage
  scenectl search "a dog digging in the garden"
END
