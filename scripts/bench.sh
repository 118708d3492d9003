#!/usr/bin/env bash
# Benchmarks of the release build: indexing beside plain decoding, search from the shell, and the idle daemon.
#
#   scripts/bench.sh [IDLE_SECONDS]      default 60; 300 for the figure in docs/figures.md
#
# Videos: SCENED_TEST_MEDIA, else ../shared/media, else the sample library. Every figure is printed with what it was measured on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --locked --release --bins
films=${SCENED_TEST_MEDIA:-../shared/media}
[ -d "$films" ] || films=tests/data/library
exec python3 scripts/bench.py target/release "$films" "${1:-60}"
