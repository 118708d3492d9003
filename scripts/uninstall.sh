#!/usr/bin/env bash
# Removes the files that install.sh listed, and the folders that are empty then. Configuration and data stay.
set -euo pipefail

prefix=${PREFIX:?is the folder that scened was installed under}
root=${DESTDIR:-}$prefix
list=$root/share/scened/installed
[ -e "$list" ] || {
  echo "uninstall: nothing is installed under $root (there is no $list)" >&2
  exit 1
}
# What Python made of the file managers' menus.
rm -rf "$root/share/scened/filemanagers/__pycache__"
for manager in nautilus nemo caja thunarx; do
  rm -f "$root/share/$manager-python/extensions/__pycache__/scened_$manager".*.pyc
  rmdir "$root/share/$manager-python/extensions/__pycache__" 2>/dev/null || true
done
while IFS= read -r file; do
  # Only ever below PREFIX, whatever the list says.
  case /$file/ in */../*) continue ;; esac
  rm -f "$root/$file"
  # Every folder on its way that holds nothing any more.
  folder=$(dirname "$file")
  while [ "$folder" != . ] && rmdir "$root/$folder" 2>/dev/null; do folder=$(dirname "$folder"); done
done < <(cat "$list")
echo "scened is gone from $root. Your configuration and data are where they were:"
echo "  ${XDG_CONFIG_HOME:-$HOME/.config}/scened  ${XDG_DATA_HOME:-$HOME/.local/share}/scened"
echo "If it still runs: systemctl --user disable --now scened.socket scened.service; systemctl --user daemon-reload"
