#!/usr/bin/env bash
# Puts what `make build` made under $DESTDIR$PREFIX, and the list of it into share/scened/installed, which uninstall.sh reads.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prefix=${PREFIX:?is the folder to install under}
destdir=${DESTDIR:-}
case $prefix in /*) ;; *) echo "install: PREFIX must be an absolute path, and is $prefix" >&2 && exit 1 ;; esac
# Another folder only in scripts/check_install.sh.
release=${SCENED_BUILT:-${CARGO_TARGET_DIR:-target}/release}
list=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$list" "$work"' EXIT

# Replaced by renaming: a running daemon keeps the file that it started from.
put() { # MODE FROM TO (below PREFIX)
  local target=$destdir$prefix/$3
  mkdir -p "$(dirname "$target")"
  cp "$2" "$target.new"
  chmod "$1" "$target.new"
  mv -f "$target.new" "$target"
  printf '%s\n' "$3" >>"$list"
}

put 755 "$release/scened" bin/scened
put 755 "$release/scenectl" bin/scenectl
put 755 "$release/scened-worker" libexec/scened/scened-worker
put 755 "$release/scened-desktop" libexec/scened/scened-desktop

# The library itself, or a folder that holds it.
libraries=("${SCENED_ONNXRUNTIME:-.setup/onnxruntime}")
[ ! -d "${libraries[0]}" ] || libraries=("${libraries[0]}"/libonnxruntime.*)
for library in "${libraries[@]}"; do
  put 755 "$library" "lib/scened/$(basename "$library")"
  for text in LICENSE ThirdPartyNotices.txt; do
    [ ! -f "$(dirname "$library")/$text" ] || put 644 "$(dirname "$library")/$text" "share/doc/scened/onnxruntime-$text"
  done
done
put 644 packaging/deb/copyright share/doc/scened/copyright
for text in LICENSE-MIT LICENSE-APACHE; do put 644 "$text" "share/doc/scened/$text"; done

# The model itself, not what it was made with.
while IFS= read -r file; do
  put 644 "$file" "share/scened/$file"
done < <(find models/starter -type f \( -path '*/onnx/*' -o -name '*config.json' -o -name tokenizer.json -o -name README.md -o -name LICENSE-UNICODE \) | sort)

# In quotes for spaces; a percent sign is doubled for systemd, and what sed would take for its own is escaped.
escaped=$(printf '%s' "$prefix" | sed 's/%/%%/g; s/[\\&|]/\\&/g')
sed "s|%h/.local/bin/scened|\"$escaped/bin/scened\"|" systemd/scened.service >"$work/scened.service"
# For one user, units lie among the data; for all of them where packages put theirs, and there a preset says what is enabled.
case $prefix in
  /usr | /usr/local)
    units=lib/systemd/user
    put 644 systemd/scened.preset lib/systemd/user-preset/90-scened.preset
    ;;
  *) units=share/systemd/user ;;
esac
put 644 "$work/scened.service" "$units/scened.service"
put 644 systemd/scened.socket "$units/scened.socket"

# Desktop search, where there is one. Exec is quoted twice: once as a shell would, and once more as every string of such a file
# (https://specifications.freedesktop.org/desktop-entry-spec/latest/exec-variables.html); menus, not the bus, double percent signs.
if [ "$(uname -s)" = Linux ]; then
  name=org.scened.Desktop
  quoted=$(printf '%s' "$prefix" | sed 's/[\\"$`]/\\&/g; s/\\/\\\\/g')
  bus=$(printf '%s' "$quoted" | sed 's/[\\&|]/\\&/g')
  menu=$(printf '%s' "$quoted" | sed 's/%/%%/g; s/[\\&|]/\\&/g')
  sed "s|^Exec=@libexec@/\(.*\)|Exec=\"$bus/libexec/scened/\1\"|" desktop/data/$name.service >"$work/bus.service"
  sed "s|^Exec=@bin@/\([^ ]*\)|Exec=\"$menu/bin/\1\"|" desktop/data/$name.desktop >"$work/menu.desktop"
  # The menus of file managers run the same program; KDE believes a service menu under a home only where it may be executed.
  for file in servicemenus/$name.films servicemenus/$name.folders actions/$name.like actions/$name.scenes actions/$name.search \
    actions/$name.index actions/$name.unindex; do
    sed "s|^Exec=@libexec@/\([^ ]*\)|Exec=\"$menu/libexec/scened/\1\"|" "desktop/data/$file.desktop" >"$work/action.desktop"
    case $file in
      servicemenus/*) put 755 "$work/action.desktop" "share/kio/$file.desktop" ;;
      *) put 644 "$work/action.desktop" "share/file-manager/$file.desktop" ;;
    esac
  done
  # Thumbnails. GNOME takes the first thumbnailer it finds, under the home first, and runs it where nothing is there but /usr: one that lies
  # elsewhere would leave its user without any. It is kept where no desktop looks, for those that have no such sandbox (docs/desktop.md).
  plain=$(printf '%s' "$prefix" | sed 's/\\/\\\\/g; s/[\\&|]/\\&/g')
  sed "s|^TryExec=@bin@|TryExec=$plain/bin|; s|^Exec=@bin@/\([^ ]*\)|Exec=\"$menu/bin/\1\"|" desktop/data/scened.thumbnailer >"$work/thumbnailer"
  case $prefix/ in
    /usr/*) put 644 "$work/thumbnailer" share/thumbnailers/scened.thumbnailer ;;
    *) put 644 "$work/thumbnailer" share/scened/scened.thumbnailer ;;
  esac
  put 644 desktop/data/python/scened_menu.py share/scened/filemanagers/scened_menu.py
  for manager in nautilus nemo caja thunarx; do
    put 644 desktop/data/python/scened_$manager.py share/$manager-python/extensions/scened_$manager.py
  done
  put 644 "$work/bus.service" share/dbus-1/services/$name.service
  put 644 "$work/menu.desktop" share/applications/$name.desktop
  put 644 desktop/data/$name.search-provider.ini share/gnome-shell/search-providers/$name.search-provider.ini
  put 644 desktop/data/$name.krunner.desktop share/krunner/dbusplugins/$name.desktop
  put 644 desktop/data/$name.metainfo.xml share/metainfo/$name.metainfo.xml
  put 644 desktop/data/$name.svg share/icons/hicolor/scalable/apps/$name.svg
  put 644 desktop/data/$name-symbolic.svg share/icons/hicolor/symbolic/apps/$name-symbolic.svg
fi

"$release/scenectl" completions bash >"$work/bash"
"$release/scenectl" completions zsh >"$work/zsh"
"$release/scenectl" completions fish >"$work/fish"
put 644 "$work/bash" share/bash-completion/completions/scenectl
put 644 "$work/zsh" share/zsh/site-functions/_scenectl
put 644 "$work/fish" share/fish/vendor_completions.d/scenectl.fish

mkdir "$work/man"
"$release/scenectl" man "$work/man" >/dev/null
"$release/scened" man "$work/man"
"$release/scened-desktop" man "$work/man"
for page in "$work"/man/*; do
  put 644 "$page" "share/man/man${page##*.}/$(basename "$page")"
done

put 644 docs/config.md share/doc/scened/config.md
printf 'share/scened/installed\n' >>"$list"
# What an earlier version had and this one has not.
earlier=$destdir$prefix/share/scened/installed
if [ -f "$earlier" ]; then
  while IFS= read -r file; do
    case /$file/ in */../*) continue ;; esac
    grep -qxF -- "$file" "$list" || rm -f "$destdir$prefix/$file"
  done < <(cat "$earlier")
fi
put 644 "$list" share/scened/installed

cat <<END
scened is installed under $destdir$prefix. Next:

  systemctl --user daemon-reload
  systemctl --user enable --now scened.socket scened.service     (without systemd: run scened in a terminal)
  scenectl add ~/Videos
  scenectl wait
  scenectl search "a dog on the beach"
END
case $prefix in
  /usr | /usr/local) printf '\nOr for every user, from the next login on:\n  sudo systemctl --global preset scened.socket\n' ;;
esac
# GNOME Shell reads search providers from the system's data folders alone, and starts what they name through the user's bus.
provider=share/gnome-shell/search-providers/org.scened.Desktop.search-provider.ini
case :${XDG_DATA_DIRS:-/usr/local/share:/usr/share}: in
  *:"$prefix/share":* | *:"$prefix/share/":*) ;;
  *) [ ! -e "$destdir$prefix/$provider" ] || cat <<END

For scenes in GNOME's search as well (KDE's needs nothing more), once, then log in again:
  sudo install -Dm644 "$prefix/$provider" "/usr/local/$provider"
END
    ;;
esac
case :$PATH: in *:"$prefix/bin":*) ;; *) printf '\n%s/bin is not in PATH yet.\n' "$prefix" ;; esac
