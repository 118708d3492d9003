#!/usr/bin/env bash
# What `make check-long` uses besides: a real browser, real players, real desktops (gnome-shell takes 150 MB, plasma-workspace 450 MB, dolphin
# 40 MB on Debian 12), and what makes and checks Debian packages. Where something cannot be installed its tests say that they did not run.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
install() { # PACKAGES...: each group by itself, as some systems lack some of them
  if have apt-get && { [ "$(id -u)" = 0 ] || have sudo; }; then
    echo "setup: installing $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null && return
  fi
  echo "setup: $* could not be installed, and is not tested with" >&2
}

have chromium || have chromium-browser || have google-chrome || install chromium
have mpv || install mpv
have vlc || install vlc-bin vlc-plugin-base
have Xvfb && have xdotool || install xvfb xdotool
have nautilus && have bwrap || install nautilus python3-nautilus python3-gi gir1.2-gnomedesktop-3.0 bubblewrap
have dolphin || install dolphin
have thunar || install thunar thunarx-python gir1.2-thunarx-3.0
[ -e /usr/share/dbus-1/services/org.xfce.Tumbler.Thumbnailer1.service ] || install tumbler
have gnome-shell || install gnome-shell
have krunner || install plasma-workspace
have dpkg-shlibdeps || install dpkg-dev
have debootstrap || install debootstrap
have lintian || install lintian
