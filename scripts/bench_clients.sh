#!/usr/bin/env bash
# What people wait for at the terminal, on the release build: answers, pictures, the finder, pages, clips.
#
#   scripts/bench_clients.sh [ROUNDS]      default 30
#
# Videos: SCENED_TEST_MEDIA, else ../shared/media, else the sample library. Run it on a quiet machine: the load is printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --locked --release --bins
films=${SCENED_TEST_MEDIA:-../shared/media}
[ -d "$films" ] || films=tests/data/library
exec python3 scripts/bench_clients.py target/release "$films" "${1:-30}"
