#!/usr/bin/env bash
# Installs the .deb on a clean Debian in a folder, uses it there as a plain user, upgrades it, and removes it: nothing may be left but
# the user's data. In `make check-long`; needs root, debootstrap and a mirror, and says so where it has them not.
#
#   SCENED_DEB_BUILT=DIR   take the programs from there and build none (scripts/deb.sh)
#   SCENED_DEB_BASE=DIR    keep the clean system there, and in DIR.archives what apt fetches, for the next time
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skip() {
  printf 'deb: NOT CHECKED: %s\n' "$*" >&2
  exit 0
}
# Mounts and processes of the check end with it.
if [ "${1:-}" != inside ]; then
  [ "$(id -u)" = 0 ] || skip "only root can make a system in a folder"
  command -v debootstrap >/dev/null && command -v apt-get >/dev/null || skip "debootstrap is not there (Debian: debootstrap)"
  unshare --mount --pid --cgroup --fork true 2>/dev/null || skip "the kernel gives no namespaces of mounts and processes"
  exec unshare --mount --propagation private --cgroup --pid --fork --kill-child --mount-proc -- "$0" inside
fi

folder=$(mktemp -d /tmp/scened-deb.XXXXXX)
root=$folder/root
# Numbers of processes begin anew in here; the folder has its name alone.
group=$(basename "$folder")
clean_up() {
  local status=$?
  trap - EXIT
  # Everything that was started in the system ends, and then its group is empty.
  if [ -d "$root/sys/fs/cgroup/$group" ]; then
    find "$root/sys/fs/cgroup/$group" -name cgroup.procs -exec cat {} + | xargs -r kill -9 2>/dev/null || true
    for _ in $(seq 50); do
      find "$root/sys/fs/cgroup/$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.1
    done
  fi
  umount -R "$root/run" "$root/sys" "$root/proc" "$root/var/cache/apt/archives" 2>/dev/null || true
  rm -rf --one-file-system "$folder"
  exit "$status"
}
trap clean_up EXIT
complain() {
  printf 'deb: %s\n' "$@" >&2
  if [ -s "$folder/manager.log" ]; then tail -n 30 "$folder/manager.log" >&2; fi
  exit 1
}
step() { printf 'deb: %4s s  %s\n' $SECONDS "$*"; }

# --- Packages -------------------------------------------------------------------------------------------------------------------

scripts/deb.sh
SCENED_DEB_BUILT=${SCENED_DEB_BUILT:-${CARGO_TARGET_DIR:-target}/release}
export SCENED_DEB_BUILT
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
package() { echo "target/debian/scened_$version-$1_$(dpkg --print-architecture).deb"; }
cp "$(package 1)" "$folder/scened.deb"
rm "$(package 1)"
export SCENED_DEB_FAST=1
scripts/deb.sh >/dev/null
for part in --fsys-tarfile --ctrl-tarfile; do
  cmp <(dpkg-deb "$part" "$folder/scened.deb") <(dpkg-deb "$part" "$(package 1)") || complain "two packages of the same programs differ"
done
SCENED_DEB_REVISION=2 scripts/deb.sh >/dev/null
mv "$(package 2)" "$folder/scened-2.deb"
if command -v lintian >/dev/null; then
  # Warnings as well: what has a reason stands in packaging/deb/lintian-overrides.
  lintian --allow-root --tag-display-limit 0 --fail-on error,warning "$folder/scened.deb" || complain "lintian is not content"
else
  echo "deb: NOT CHECKED: lintian is not there (Debian: lintian)" >&2
fi
step "the package is made, twice the same; lintian is content"

# --- A clean system -------------------------------------------------------------------------------------------------------------

codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck disable=SC2016 # apt fills these in
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' "Codename: $codename" 'Component: main' | head -n 1)
[ -n "$mirror" ] || skip "apt knows no mirror of $codename"
base=${SCENED_DEB_BASE:-$folder/base}
if [ ! -d "$base" ]; then
  debootstrap --variant=minbase "$codename" "$base.new" "$mirror" >"$folder/debootstrap.log" 2>&1 || {
    tail -n 5 "$folder/debootstrap.log" >&2
    rm -rf "$base.new"
    skip "debootstrap could not make a system (see above)"
  }
  mv "$base.new" "$base"
fi
if [ "$base" = "$folder/base" ]; then
  mv "$base" "$root"
else
  cp -a "$base" "$root"
  mkdir -p "$base.archives/partial"
  mount --bind "$base.archives" "$root/var/cache/apt/archives"
fi
# The machine's own way to packages.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
rm -f "$root/etc/apt/sources.list"
# shellcheck disable=SC2016
apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' 'Component: main' |
  while read -r uri release; do
    case $release in "$codename"*) echo "deb $uri $release main" ;; esac
  done >"$root/etc/apt/sources.list"
# The proxy and what else the machine needs to reach its mirror.
apt-config dump | grep -E '^Acquire::(https?|ftp)::' >"$root/etc/apt/apt.conf.d/99machine" || true
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" && mkdir "$root/sys/fs/cgroup/$group" || skip "no group of processes can be made for a user's service manager"
# No service is to be started here.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
# It is thrown away: dpkg need not wait for the disk.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
as_root() { chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
apt() { as_root apt-get -y -q "$@" >"$folder/apt.log" 2>&1 || { tail -n 20 "$folder/apt.log" >&2 && complain "apt-get $* failed"; }; }
apt update
for missing in libavcodec59 libstdc++6-dev rustc; do
  ! as_root dpkg -s "$missing" >/dev/null 2>&1 || complain "the clean system has $missing already"
done
as_root useradd --create-home --shell /bin/bash viewer
mkdir -p "$root/run/user"
install -d -o 1000 -g 1000 -m 700 "$root/run/user/1000"
cp -R tests/data/library "$root/home/viewer/Videos"
chown -R 1000:1000 "$root/home/viewer"
step "a clean $codename stands: $(as_root dpkg-query -W | wc -l) packages, $(du -sxm "$root" | cut -f1) MB"

# --- Installing -----------------------------------------------------------------------------------------------------------------

cp "$folder/scened.deb" "$folder/scened-2.deb" "$root/tmp/"
size_of() { as_root apt-get -s -o APT::Get::Show-User-Simulation-Note=false "$@" install /tmp/scened.deb | grep -c '^Inst '; }
told() { as_root apt-get --assume-no "$@" install /tmp/scened.deb 2>/dev/null | grep -E '^(Need to get|After this)' | tr '\n' ' ' || true; }
step "asked for without recommendations: $(size_of --no-install-recommends) packages; $(told --no-install-recommends)"
step "as usual: $(size_of) packages; $(told)"
mkdir -p "$root/etc/systemd/user-preset"
echo "disable scened.socket" >"$root/etc/systemd/user-preset/00-administrator.preset"
apt install /tmp/scened.deb
wanted=$root/etc/systemd/user/sockets.target.wants/scened.socket
[ -x "$root/usr/bin/systemctl" ] || complain "systemd is not there, so that nothing is known of presets"
[ ! -L "$wanted" ] || complain "an administrator's preset says that the socket is not enabled, and it is"
apt purge scened
rm -r "$root/etc/systemd/user-preset"
apt install /tmp/scened.deb
[ -L "$wanted" ] && [ -e "$root/$(readlink "$wanted")" ] || complain "the preset has not enabled the socket"
# Nor when an administrator lets the presets decide, which without one means yes on Debian.
as_root systemctl --global preset scened.service >/dev/null 2>&1
[ ! -L "$root/etc/systemd/user/default.target.wants/scened.service" ] || complain "the daemon is started for everybody"
as_root dpkg -s libavcodec59 >/dev/null || complain "FFmpeg's libraries were not pulled in"
for program in bin/scened bin/scenectl libexec/scened/scened-worker libexec/scened/scened-desktop lib/scened/libonnxruntime.so.*; do
  # shellcheck disable=SC2086 # the library's version is not known here
  said=$(as_root sh -c "ldd /usr/$program") || complain "ldd cannot read $program"
  ! grep -q 'not found' <<<"$said" || complain "$program lacks a library: $said"
done
# What only an ELF file of the build machine knows.
for leak in "$PWD" "$HOME/.cargo" "$HOME/.rustup"; do
  # shellcheck disable=SC2086
  ! grep -qrF "$leak" "$root"/usr/bin/scene* "$root"/usr/libexec/scened || complain "a program names $leak"
done
step "it is installed, with $(du -cm "$root"/usr/bin/scene* "$root"/usr/lib*/scened "$root"/usr/share/scened | tail -1 | cut -f1) MB of its own"

# --- Using it -------------------------------------------------------------------------------------------------------------------

# A plain user's shell, without any variable of ours.
as_user() {
  chroot "$root" setpriv --reuid=1000 --regid=1000 --init-groups --inh-caps=-all env -i HOME=/home/viewer USER=viewer PATH=/usr/bin:/bin \
    XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus LANG=C.UTF-8 timeout 900 bash -c "$@"
}
wait_for() { # WHAT SECONDS COMMAND
  local what=$1 deadline=$((SECONDS + $2))
  until as_user "$3" >"$folder/said" 2>&1; do
    [ $SECONDS -lt $deadline ] || complain "waited for $what; the last answer: $(tail -n 5 "$folder/said")"
    sleep 0.3
  done
}
answer() { as_user "$1" 2>"$folder/errors" || complain "$1: $(tail -n 20 "$folder/errors")"; }

status=0
as_user "scenectl status" >/dev/null 2>"$folder/errors" || status=$?
[ $status = 3 ] && grep -q scened "$folder/errors" || complain "with the daemon off, scenectl ends with $status: $(cat "$folder/errors")"
as_user "mkdir -p ~/.config/scened && printf 'settle-seconds = 1\nbusy = 0\non-battery = \"run\"\n' >~/.config/scened/config.toml && scened --check-config" \
  >"$folder/said" 2>&1 || complain "the configuration: $(cat "$folder/said")"
# The user's service manager, as after a login. It wants a system that was booted by systemd, and a group of its own.
mkdir -p "$root/run/systemd/system"
chown -R 1000:1000 "$root/sys/fs/cgroup/$group"
(
  # shellcheck disable=SC2016 # the shell in there has another number
  exec bash -c 'echo $$ >"$0" && exec "$@"' "$root/sys/fs/cgroup/$group/cgroup.procs" \
    chroot "$root" setpriv --reuid=1000 --regid=1000 --init-groups --inh-caps=-all \
    env -i HOME=/home/viewer USER=viewer PATH=/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/1000 LANG=C.UTF-8 \
    /lib/systemd/systemd --user --log-target=console
) >"$folder/manager.log" 2>&1 &
disown
wait_for "the user's service manager" 60 "systemctl --user is-active default.target"
rmdir "$root/run/systemd/system"
# What the preset says, nobody having enabled anything.
[ "$(answer 'systemctl --user is-active scened.socket')" = active ] || complain "after a login nothing listens"
[ "$(answer 'systemctl --user is-active scened.service || true')" = inactive ] || complain "the daemon runs, and nobody has asked"
answer "scenectl add ~/Videos" >/dev/null
as_user "scenectl wait --timeout 250" >/dev/null 2>"$folder/errors" || complain "the library was not indexed: $(cat "$folder/errors")" "$(as_user 'scenectl status; scenectl incidents')"
counts() { answer "scenectl status --json" | python3 -c 'import json, sys; status = json.load(sys.stdin); print(status["videos"], status["scenes"])'; }
indexed=$(counts)
asked=$(python3 - tests/data/library/truth.json <<'PYTHON'
import json, sys
videos = json.load(open(sys.argv[1]))["videos"]
for video in videos[:6]:
    print(video["path"] + "\t" + video["scenes"][0]["caption"])
PYTHON
)
ask() {
  local path caption found
  while IFS=$'\t' read -r path caption; do
    found=$(answer "scenectl search --paths -n 1 '$caption'" </dev/null)
    [ "$found" = "/home/viewer/Videos/$path" ] || complain "\"$caption\" finds \"$found\" and not $path"
  done <<<"$asked"
}
ask
as_user "scenectl doctor" >"$folder/doctor" 2>&1 || complain "doctor is not content: $(cat "$folder/doctor")"
grep -q 'lib/scened/libonnxruntime' "$folder/doctor" || complain "not the package's ONNX Runtime is used: $(cat "$folder/doctor")"
[ "$(answer 'systemctl --user is-active scened.service')" = active ] || complain "something else than the unit answers"
step "as a plain user, started by its socket through its unit: $indexed scenes; found, and doctor is content"
grep -iE 'warn|sandbox' "$folder/doctor" || true
answer "scenectl export --help" >/dev/null
answer "cd ~ && scenectl search --json 'a fox in a field' -n 1 | scenectl export - -o clip.mp4 && test -s clip.mp4" >/dev/null

# --- What comes with it ---------------------------------------------------------------------------------------------------------

apt install --no-install-recommends man-db desktop-file-utils appstream zsh fish libglib2.0-bin python3 bash-completion
for page in scened scened-inspect scenectl scenectl-search scened-desktop scened-config; do
  said=$(answer "man --warnings -E UTF-8 -P cat $page") && [ "$(wc -l <<<"$said")" -gt 10 ] || complain "man $page shows: $said"
  [ ! -s "$folder/errors" ] || complain "man $page complains: $(cat "$folder/errors")"
done
said=$(answer "$(printf '%s\n' 'source /usr/share/bash-completion/completions/scenectl' 'COMP_WORDS=(scenectl sea) COMP_CWORD=1' \
  '_scenectl scenectl sea scenectl' 'printf "%s\n" "${COMPREPLY[@]}"')")
[ "$said" = search ] || complain "bash completes \"scenectl sea\" to: $said"
# shellcheck disable=SC2016 # for zsh
said=$(answer "zsh -fc 'autoload -U compinit; compinit -u -D; print \$_comps[scenectl]'")
[ "$said" = _scenectl ] || complain "zsh completes scenectl by: $said"
said=$(answer "fish -c 'complete -C \"scenectl sea\"'")
[[ $said == search* ]] || complain "fish completes \"scenectl sea\" to: $said"
for file in applications/org.scened.Desktop.desktop krunner/dbusplugins/org.scened.Desktop.desktop; do
  said=$(as_root desktop-file-validate "/usr/share/$file" 2>&1) && [ -z "$said" ] || complain "$file: $said"
done
said=$(as_root appstreamcli validate --no-net /usr/share/metainfo/org.scened.Desktop.metainfo.xml 2>&1) || complain "appstreamcli: $said"
# systemd 254 knows these two keys; older ones ignore them and say so, also by the exit status.
said=$(as_user "systemd-analyze --user --man=yes --recursive-errors=yes verify /usr/lib/systemd/user/scened.service /usr/lib/systemd/user/scened.socket 2>&1" |
  grep -vE "Unknown key '(RestartSteps|RestartMaxDelaySec)' in section \[Service\], ignoring" || true)
[ -z "$said" ] || complain "systemd-analyze: $said"
said=$(answer "dbus-run-session -- gdbus call --session --dest org.scened.Desktop --object-path /org/scened/Desktop/KRunner --method org.kde.krunner1.Match 'fox in a field'")
[[ $said == *"wild animals"* ]] || complain "scened-desktop answers: $said"
step "manual pages, completions of three shells, desktop files, AppStream, units and the session bus are right"

# --- Upgrading ------------------------------------------------------------------------------------------------------------------

as_root dpkg -i /tmp/scened-2.deb >"$folder/apt.log" 2>&1 || complain "the upgrade failed: $(cat "$folder/apt.log")"
[ "$(counts)" = "$indexed" ] || complain "after the upgrade, the running daemon has $(counts) and had $indexed"
ask
answer "systemctl --user daemon-reload && systemctl --user restart scened.service"
answer "scenectl wait --timeout 60" >/dev/null
[ "$(counts)" = "$indexed" ] || complain "started anew after the upgrade it has $(counts) and had $indexed"
ask
# An administrator's decision stays.
as_root systemctl --global disable scened.socket >/dev/null 2>&1
[ ! -L "$wanted" ] || complain "systemctl --global disable does nothing"
as_root dpkg -i /tmp/scened.deb >"$folder/apt.log" 2>&1 || complain "back to the first package: $(cat "$folder/apt.log")"
[ ! -L "$wanted" ] || complain "an upgrade enables what an administrator has disabled"
as_root systemctl --global enable scened.socket >/dev/null 2>&1
step "an upgrade leaves the running daemon, the index, and an administrator's decision"

# --- Removing -------------------------------------------------------------------------------------------------------------------

answer "systemctl --user stop scened.socket scened.service"
# As if root had used a file manager.
as_root python3 -m compileall -q /usr/share/scened/filemanagers /usr/share/nautilus-python
data() { (cd "$root/home/viewer" && find . -type f -exec sha256sum {} + | sort); }
kept=$(data)
list() { (cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./run -o -path ./tmp -o -path ./home -o -path ./var/log -o -path ./var/lib/dpkg -o -path ./var/cache -o -path ./var/lib/apt \) -prune -o -print | sort); }
owned() { as_root dpkg -L scened | sed 's/^/./' | sort; }
list >"$folder/before"
owned >"$folder/owned"
traces() { # AFTER
  local left
  left=$(list | grep -i scened || true)
  [ -z "$left" ] || complain "after $1, this is left: $left"
  left=$(grep -rIl scened "$root/etc" "$root/var/lib/systemd" "$root/usr/share/applications" "$root/usr/share/dbus-1" 2>/dev/null | head || true)
  [ -z "$left" ] || complain "after $1, these still name it: $left"
  left=$(list | comm -13 "$folder/before" -)
  [ -z "$left" ] || complain "$1 made: $left"
  # What went was the package's, or what its script had made.
  left=$(list | comm -23 "$folder/before" - | comm -23 - "$folder/owned" | grep -v scened | grep -vE '^\./(etc/systemd/user/sockets.target.wants|var/lib/systemd/deb-systemd-user-helper-enabled(/sockets.target.wants)?|usr/share/(scened|[a-z]+-python/extensions)/.*__pycache__)$' || true)
  [ -z "$left" ] || complain "$1 took away what is not its own: $left"
  [ "$(data)" = "$kept" ] || complain "$1 has touched the user's data"
}
apt remove scened
traces "apt-get remove"
apt purge scened
traces "apt-get purge"
! as_root dpkg -s scened >/dev/null 2>&1 || complain "dpkg still knows it"
step "removed and purged: nothing is left but the user's data ($(du -sm "$root/home/viewer/.local/share/scened" | cut -f1) MB)"
