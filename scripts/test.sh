#!/usr/bin/env bash
# Everything that must hold (`make test`), in the order in which it fails soonest.
#
# The dev profile: dependencies are optimised there (decoding and hashing are unusable otherwise), our own code is quick to compile and
# checks for overflow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# `make check-long` sets it: the tests marked #[ignore] because they take long run as well (not the one that writes a released store);
# those on full-size models run in tests/reference/full.sh, which makes them.
long=${SCENED_LONG_TESTS:-}

step() { printf '\n== %s\n' "$*"; }

scripts/setup.sh

# Real videos from other projects' test suites; beside the project where it is developed.
if [ -z "${SCENED_TEST_MEDIA:-}" ] && [ -d ../shared/media ]; then
  SCENED_TEST_MEDIA=$(cd ../shared/media && pwd)
  export SCENED_TEST_MEDIA
fi
if [ -n "${SCENED_TEST_MEDIA:-}" ]; then
  echo "test: real videos are in $SCENED_TEST_MEDIA"
else
  echo "test: NO REAL FILMS: there is no ../shared/media and SCENED_TEST_MEDIA is not set, so tests on them have nothing to look at"
fi

# The tokenizer of openai/clip-vit-base-patch32, in the same place.
if [ -z "${SCENED_TEST_CLIP:-}" ] && [ -d ../shared/clip-vit-base-patch32 ]; then
  SCENED_TEST_CLIP=$(cd ../shared/clip-vit-base-patch32 && pwd)
  export SCENED_TEST_CLIP
fi
if [ -n "${SCENED_TEST_CLIP:-}" ]; then
  echo "test: the real CLIP tokenizer is in $SCENED_TEST_CLIP"
else
  echo "test: NO REAL TOKENIZER: there is no ../shared/clip-vit-base-patch32 and SCENED_TEST_CLIP is not set, so its ids are not compared"
fi

# What reads timelines in a test (3 MB, pure enough to lie in a folder of its own).
if [ ! -d .setup/otio/opentimelineio ]; then
  python3 -m pip install --quiet --disable-pip-version-check --target .setup/otio OpenTimelineIO==0.18.1 otio-cmx3600-adapter==1.0.0 ||
    echo "test: NO OPENTIMELINEIO: it could not be installed, so no edit list is read by it"
fi

# Real programs that are too large to ask of everybody who types `make test`; tests say so where they are missing.
if [ -n "$long" ]; then scripts/setup_long.sh; fi

step "format"
cargo fmt --all --check

step "prose"
scripts/check_prose --self-test
scripts/check_prose

step "map"
scripts/check_map --self-test
scripts/check_map

step "rooms"
scripts/check_rooms --self-test
scripts/check_rooms

step "units"
scripts/check_units.sh

step "lints"
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

step "build"
cargo build --locked --workspace --bins --all-features

step "dependencies"
scripts/check_dependencies.sh

step "installation"
scripts/check_install.sh

# For every daemon that the tests start, wherever it was built.
export SCENED_ONNXRUNTIME=${SCENED_ONNXRUNTIME:-$PWD/.setup/onnxruntime}

if [ -n "$long" ]; then
  step "scenectl without browse"
  cargo check --locked -p scenectl --no-default-features

  step "fuzz targets, a minute each"
  scripts/fuzz.sh

  step "real desktops"
  for desktop in nautilus dolphin thunar thumbnails gnome_shell krunner; do
    "tests/desktop/$desktop.sh"
  done

  step "the Debian package on a clean system"
  scripts/check_deb.sh

  step "full-size models against transformers and open_clip"
  tests/reference/full.sh
fi

step "tests"
# Tests wait for daemons, files and timeouts more than they compute: four at once on each processor keep it busy. Those that compute count
# twice (.config/nextest.toml), and the long ones do.
if [ -n "$long" ]; then at_once=2; else at_once=4; fi
export NEXTEST_TEST_THREADS=${NEXTEST_TEST_THREADS:-$((at_once * $(nproc)))}
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --locked --workspace --all-features ${long:+--profile long --run-ignored all -E 'not test(released::write) and not test(full_size)'}
else
  echo "test: cargo-nextest is not there (cargo install cargo-nextest), so cargo test runs the tests"
  cargo test --locked --workspace --all-features --no-fail-fast ${long:+-- --include-ignored --skip released::write --skip full_size}
fi
