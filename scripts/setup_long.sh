#!/usr/bin/env bash
# What `make check-long` uses besides: a real browser, real players, and what makes and checks Debian packages. Where it cannot be
# installed its tests say that they did not run.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }

wanted=()
have chromium || have chromium-browser || have google-chrome || wanted+=(chromium)
have mpv || wanted+=(mpv)
have vlc || wanted+=(vlc-bin vlc-plugin-base)
have dpkg-shlibdeps || wanted+=(dpkg-dev)
have debootstrap || wanted+=(debootstrap)
have lintian || wanted+=(lintian)
[ ${#wanted[@]} = 0 ] && exit
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
if have apt-get && { [ "$(id -u)" = 0 ] || have sudo; }; then
  echo "setup: installing ${wanted[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null && exit
fi
echo "setup: ${wanted[*]} could not be installed, and is not tested with" >&2
