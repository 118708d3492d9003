#!/usr/bin/env bash
# Scene detection beside its peers (tests/bench/README.md): builds, makes the Python environment, and runs everything.
#
#   scripts/bench_scenes.sh [--quick] [options of tests/bench/bench.py]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --locked --release --bins
venv=target/bench-scenes/venv
if ! cmp -s tests/bench/requirements.txt "$venv/installed.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/bench/requirements.txt
  cp tests/bench/requirements.txt "$venv/installed.txt"
fi
exec "$venv/bin/python" -B tests/bench/bench.py "$@"
