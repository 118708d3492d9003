#!/usr/bin/env bash
# Makes target/debian/scened_<version>-<revision>_<architecture>.deb of what `make install` installs. For Debian 12 and what is built on
# it: the package needs the FFmpeg libraries of the system that it is made on.
#
#   SCENED_DEB_REVISION=2   the same version, packaged anew (1)
#   SCENED_DEB_FAST=1       compress less
#   SCENED_DEB_BUILT=DIR    take the programs from this folder and build none (scripts/check_deb.sh, for a quick look)
#
# The same programs give the same package: its files have the time of the last commit. No program knows in which folder it was built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  printf 'deb: %s\n' "$@" >&2
  exit 1
}
for program in dpkg-deb dpkg-shlibdeps strip gzip; do
  command -v "$program" >/dev/null || fail "$program is not there (Debian: dpkg-dev binutils); a .deb is made on Debian or what is built on it"
done
# Compilers' flags are lists of words.
case $PWD${CARGO_HOME:-$HOME} in *[[:space:]]*) fail "a package is built where no folder on the way has a space in its name, and this is $PWD" ;; esac
revision=${SCENED_DEB_REVISION:-1}
[[ $revision =~ ^[0-9a-zA-Z.+~]+$ ]] || fail "SCENED_DEB_REVISION is $revision, and has to be letters, digits and . + ~"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

scripts/setup.sh
# Licences have to go with what is handed on.
library=${SCENED_ONNXRUNTIME:-.setup/onnxruntime}
[ -d "$library" ] || library=$(dirname "$library")
for text in LICENSE ThirdPartyNotices.txt; do
  [ -s "$library/$text" ] || fail "$library has no $text of ONNX Runtime, which has to go into the package: put it there, or unset SCENED_ONNXRUNTIME"
done

cargo_deb=.setup/cargo-deb/bin/cargo-deb
cargo_deb_version=3.8.0
if ! "$cargo_deb" --version 2>/dev/null | grep -qwF "$cargo_deb_version"; then
  echo "deb: building cargo-deb $cargo_deb_version"
  env -u RUSTFLAGS -u CARGO_TARGET_DIR cargo install --quiet --locked --version "$cargo_deb_version" --root .setup/cargo-deb cargo-deb
fi

if [ -z "${SCENED_DEB_BUILT:-}" ]; then
  cargo_home=${CARGO_HOME:-$HOME/.cargo}
  map="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$PWD=/scened"
  CFLAGS="${CFLAGS:+$CFLAGS }$map" CXXFLAGS="${CXXFLAGS:+$CXXFLAGS }$map" SCENED_CHECKOUT=/nonexistent \
    RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$PWD=/scened" \
    cargo build --locked --release --bins
  SCENED_DEB_BUILT=${CARGO_TARGET_DIR:-target}/release
fi

# Without symbols, as Debian wants its programs.
rm -rf target/deb
mkdir -p target/deb/built
for program in scened scenectl scened-worker scened-desktop; do
  strip --strip-unneeded --remove-section=.comment -o "target/deb/built/$program" "$SCENED_DEB_BUILT/$program"
done
umask 022
PREFIX=/usr DESTDIR=$PWD/target/deb/stage SCENED_BUILT=$PWD/target/deb/built scripts/install.sh >/dev/null

# What is Debian's own way.
root=target/deb/stage/usr
documents=$root/share/doc/scened
# dpkg keeps a list itself, cargo-deb puts the copyright there, and Debian has the Apache licence in one place for all packages.
rm "$root/share/scened/installed" "$documents/copyright" "$documents/LICENSE-MIT" "$documents/LICENSE-APACHE"
# Debian's zsh does not look into site-functions.
mkdir -p "$root/share/zsh/vendor-completions"
mv "$root/share/zsh/site-functions/_scenectl" "$root/share/zsh/vendor-completions/_scenectl"
python3 scripts/licences.py scened scened-worker scenectl scened-desktop >"$documents/third-party-licences.txt"
cp CHANGELOG.md "$documents/changelog"
gzip -9n "$documents/third-party-licences.txt" "$documents/onnxruntime-ThirdPartyNotices.txt" "$documents/changelog"
mkdir -p "$root/share/lintian/overrides"
install -m 644 packaging/deb/lintian-overrides "$root/share/lintian/overrides/scened"
# KDE asks for the permission to execute only under a home.
chmod 644 "$root"/share/kio/servicemenus/*
find "$root" -type f ! -perm /111 -exec chmod 644 {} +
cat >target/deb/changelog <<END
scened ($version-$revision) unstable; urgency=medium

  * What changed is in changelog.gz.

 -- The scened developers <maintainers@scened.invalid>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END

PATH=$PWD/.setup/cargo-deb/bin:$PATH cargo deb --locked --no-build --no-strip --package scened --deb-revision "$revision" --quiet ${SCENED_DEB_FAST:+--fast}
package=target/debian/scened_$version-${revision}_$(dpkg --print-architecture).deb
depends=$(dpkg-deb --field "$package" Depends)
printf 'deb: %s, %s bytes\ndeb: needs %s\n' "$package" "$(stat -c %s "$package")" "$depends"
printf 'Install it with:  sudo apt-get install ./%s\n' "$package"
