#!/usr/bin/env bash
# Installs what was built for the tests into a temporary folder, tries it there, and uninstalls it: nothing may be left.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
complain() {
  printf 'install: %s\n' "$*" >&2
  exit 1
}

# A space, because people have them; DESTDIR, because packagers do.
export PREFIX="/opt/my scened" DESTDIR=$folder/stage SCENED_BUILT=${CARGO_TARGET_DIR:-target}/debug
root=$DESTDIR$PREFIX
# What was there before has to be there afterwards, and nothing else.
mkdir -p "$root/share/scened/mine" "$root/bin"
touch "$root/bin/another program" "$root/share/scened/mine/kept"
list() { (cd "$root" && find . -print0 | sort -z | tr '\0' '\n'); }
before=$(list)
scripts/install.sh >/dev/null

for file in bin/scened bin/scenectl libexec/scened/scened-worker share/scened/models/starter/config.json share/systemd/user/scened.service \
  share/systemd/user/scened.socket share/bash-completion/completions/scenectl share/zsh/site-functions/_scenectl \
  share/fish/vendor_completions.d/scenectl.fish share/man/man1/scenectl.1 share/man/man1/scenectl-search.1 share/man/man1/scened.1 \
  share/man/man1/scened-desktop.1 share/man/man5/scened-config.5 share/doc/scened/copyright \
  share/doc/scened/LICENSE-MIT share/doc/scened/LICENSE-APACHE; do
  [ -s "$root/$file" ] || complain "$file was not installed"
done
if [ -z "${SCENED_ONNXRUNTIME:-}" ]; then
  ls "$root"/lib/scened/libonnxruntime.* >/dev/null || complain "ONNX Runtime's library was not installed"
fi
grep -qx 'ExecStart="/opt/my scened/bin/scened"' "$root/share/systemd/user/scened.service" || complain "the unit does not start what was installed"
if [ "$(uname -s)" = Linux ]; then
  name=org.scened.Desktop
  for file in libexec/scened/scened-desktop share/gnome-shell/search-providers/$name.search-provider.ini share/krunner/dbusplugins/$name.desktop \
    share/icons/hicolor/scalable/apps/$name.svg share/icons/hicolor/symbolic/apps/$name-symbolic.svg; do
    [ -s "$root/$file" ] || complain "$file was not installed"
  done
  grep -qx 'Exec="/opt/my scened/libexec/scened/scened-desktop"' "$root/share/dbus-1/services/$name.service" || complain "the bus does not start what was installed"
  grep -qx 'Exec="/opt/my scened/bin/scenectl" browse' "$root/share/applications/$name.desktop" || complain "the menu does not start what was installed"
  "$root/libexec/scened/scened-desktop" --version >/dev/null
  [ ! -e "$root/share/thumbnailers" ] || complain "a thumbnailer that GNOME's sandbox does not reach was put where GNOME looks"
  grep -qx 'Exec="/opt/my scened/bin/scened" thumbnail --size %s -- %i %o' "$root/share/scened/scened.thumbnailer" || complain "the thumbnailer does not run what was installed"
  grep -qx 'TryExec=/opt/my scened/bin/scened' "$root/share/scened/scened.thumbnailer" || complain "the thumbnailer does not look for what was installed"
  for file in kio/servicemenus/$name.films kio/servicemenus/$name.folders file-manager/actions/$name.{like,scenes,search,index,unindex}; do
    grep -q '^Exec="/opt/my scened/libexec/scened/scened-desktop" act [a-z]* %F$' "$root/share/$file.desktop" || complain "$file does not run what was installed"
    ! grep -q '@' "$root/share/$file.desktop" || complain "$file has a place that was not filled in"
  done
  [ -x "$root/share/kio/servicemenus/$name.films.desktop" ] || complain "KDE does not believe a service menu that may not be executed"
  for manager in nautilus nemo caja thunarx; do
    # Without the bytecode, which is made when the file manager loads it.
    PYTHONDONTWRITEBYTECODE=1 python3 - "$root/share/$manager-python/extensions/scened_$manager.py" "$root/share/scened/filemanagers/scened_menu.py" <<'PYTHON' || complain "the menu of $manager is no Python"
import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path, encoding="utf-8").read(), path)
PYTHON
  done
  if command -v desktop-file-validate >/dev/null; then
    for file in applications krunner/dbusplugins; do
      said=$(desktop-file-validate "$root/share/$file/$name.desktop" 2>&1) || complain "desktop-file-validate: $said"
      [ -z "$said" ] || complain "desktop-file-validate: $said"
    done
  else
    echo "install: NOT CHECKED: desktop-file-validate is not there (Debian: desktop-file-utils)" >&2
  fi
  if command -v appstreamcli >/dev/null; then
    said=$(appstreamcli validate --no-net "$root/share/metainfo/$name.metainfo.xml") || complain "appstreamcli: $said"
  else
    echo "install: NOT CHECKED: appstreamcli is not there (Debian: appstream)" >&2
  fi
fi
"$root/bin/scened" --version >/dev/null
"$root/bin/scenectl" --version >/dev/null

# An earlier version may have had more: what it had is gone after an update, and only that.
touch "$root/share/scened/of an earlier version"
printf '%s\n' 'share/scened/of an earlier version' '../../outside' >>"$root/share/scened/installed"
touch "$root/../../outside"
scripts/install.sh >/dev/null
[ ! -e "$root/share/scened/of an earlier version" ] || complain "an update leaves what an earlier version had"
[ -e "$root/../../outside" ] || complain "an update removes what is not below PREFIX"
printf '../../outside\n' >>"$root/share/scened/installed"

# What a user keeps beside it stays; what Python made of the menus goes.
if [ -d "$root/share/scened/filemanagers" ]; then
  python3 -m compileall -q "$root/share/scened/filemanagers" "$root/share/nautilus-python"
fi
scripts/uninstall.sh >/dev/null
[ -e "$root/../../outside" ] || complain "uninstalling removes what is not below PREFIX"
changed=$(diff <(printf '%s\n' "$before") <(list)) || complain "after uninstalling, this is left (>) or gone (<): $changed"

# For all users, units lie where packages put theirs, with a preset; scripts/deb.sh makes the package of this.
export PREFIX=/usr
root=$DESTDIR$PREFIX
scripts/install.sh >/dev/null
grep -qx 'ExecStart="/usr/bin/scened"' "$root/lib/systemd/user/scened.service" || complain "for all users, the unit does not start what was installed"
grep -qx 'enable scened.socket' "$root/lib/systemd/user-preset/90-scened.preset" || complain "for all users, no preset enables the socket"
# Below /usr GNOME's sandbox reaches the thumbnailer.
grep -qx 'Exec="/usr/bin/scened" thumbnail --size %s -- %i %o' "$DESTDIR/usr/share/thumbnailers/scened.thumbnailer" || complain "below /usr the thumbnailer is not where desktops look"
scripts/uninstall.sh >/dev/null
left=$(find "$root" -mindepth 1)
[ -z "$left" ] || complain "after uninstalling from /usr, this is left: $left"

# The bus starts what is installed, wherever it lies.
if command -v dbus-run-session >/dev/null && command -v gdbus >/dev/null; then
  unset DESTDIR
  export PREFIX=$folder/'a b"c$d\e%f&g|h`i'
  scripts/install.sh >/dev/null
  cp -r "$PREFIX/share/dbus-1/services" "$folder/services"
  cat >"$folder/bus.conf" <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=$folder/bus</listen><servicedir>$folder/services</servicedir>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
END
  said=$(timeout 60 dbus-run-session --config-file="$folder/bus.conf" -- gdbus call --session --dest org.scened.Desktop \
    --object-path /org/scened/Desktop/KRunner --method org.kde.krunner1.Actions 2>&1) || complain "the bus does not start scened-desktop: $said"
  # And desktops the thumbnailer, as GNOME's library reads and fills in its entry: a string of a key file, words of a shell, placeholders.
  film=$folder/$'-it\'s "$(x)" %i\n.mp4'
  cp "tests/data/library/wild animals.mp4" "$film"
  python3 - "$PREFIX/share/scened/scened.thumbnailer" "$film" "$folder/picture.png" <<'PYTHON' || complain "the thumbnailer's entry does not run what was installed"
import re, subprocess, sys
entry, film, picture = sys.argv[1:]
line = next(line for line in open(entry, encoding="utf-8") if line.startswith("Exec="))
unescaped = re.sub(r"\\(.)", lambda found: {"s": " ", "n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), line[5:].rstrip("\n"))
fill = {"%i": film, "%o": picture, "%s": "128", "%%": "%"}
words = subprocess.run(["sh", "-c", f"printf '%s\\0' {unescaped}"], check=True, capture_output=True, text=True).stdout.split("\0")[:-1]
subprocess.run([re.sub("%.", lambda found: fill[found[0]], word) for word in words], check=True)
assert open(picture, "rb").read(8) == b"\x89PNG\r\n\x1a\n"
PYTHON
  scripts/uninstall.sh >/dev/null
else
  echo "install: NOT CHECKED: dbus-run-session or gdbus is not there, so scened-desktop was not started (Debian: dbus libglib2.0-bin)" >&2
fi
echo "install: what is installed runs, and uninstalling removes it and nothing else"
