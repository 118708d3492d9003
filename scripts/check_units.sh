#!/usr/bin/env bash
# Lets systemd read the user units. The daemon's path must exist for that, so it is put in as `make install` does it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v systemd-analyze >/dev/null; then
  echo "units: NOT CHECKED, because systemd-analyze is not there (Debian's package systemd)" >&2
  # CI must not leave it out.
  [ "${CI:-}" != true ]
  exit
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Any program will do in its place: a unit is read, not started.
sed "s|%h/.local/bin/scened|$(command -v true)|" systemd/scened.service >"$folder/scened.service"
cp systemd/scened.socket "$folder/"
# Two keys are newer than some systemd that passes over them with a warning; the unit says what that means.
if [ "$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -lt 254 ]; then
  sed -i '/^RestartSteps=/d; /^RestartMaxDelaySec=/d' "$folder/scened.service"
fi
# A warning (an unknown key) is as wrong as an error. Manual pages are there after an installation only.
if ! said=$(XDG_RUNTIME_DIR=$folder systemd-analyze verify --user --man=no --recursive-errors=yes "$folder"/scened.* 2>&1) || [ -n "$said" ]; then
  printf 'units: systemd-analyze says:\n%s\n' "$said" >&2
  exit 1
fi
echo "units: systemd-analyze verify has nothing to say"
