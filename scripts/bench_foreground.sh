#!/usr/bin/env bash
# How much a compile with two threads is slowed while scened indexes, and beside nothing but idle-class sha256sum, in turns with it alone.
#
#   scripts/bench_foreground.sh [ROUNDS]      default 3
#
# Videos: SCENED_TEST_MEDIA, else ../shared/media, else the sample library; enough copies, each with other bytes at its end, that indexing
# does not run out of work.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --locked --release --bins
films=${SCENED_TEST_MEDIA:-../shared/media}
[ -d "$films" ] || films=tests/data/library
exec python3 scripts/bench_foreground.py target/release "$films" "${1:-3}"
