#!/usr/bin/env bash
# The rules of who may use what (ARCHITECTURE.md): in the packages, in the built programs, and in which rooms a library is used.
# Which room may use which other one is held by scripts/check_rooms.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

broken=0
complain() {
  printf 'dependencies: %s\n' "$*" >&2
  broken=1
}

# The names of all packages that a package needs.
closure() { # FLAG... of cargo tree
  cargo tree --locked --quiet "$@" --edges normal,build --prefix none --format '{p}' | cut -d' ' -f1 | sort -u
}

# Whatever PACKAGE needs must not have one of these in it.
forbid() { # PACKAGE CRATE...
  local package=$1 crates crate
  shift
  crates=$(closure --package "$package")
  for crate in "$@"; do
    if grep -qx "$crate" <<<"$crates"; then complain "$package depends on $crate, and must not"; fi
  done
}
media=(ffmpeg-next ffmpeg-sys-next)
models=(ort ort-sys tokenizers)
forbid scened-shared tokio fjall usearch "${media[@]}" "${models[@]}"
forbid scened-desktop fjall usearch scened scenectl ureq rustls "${media[@]}" "${models[@]}"
forbid scenectl fjall usearch scened "${media[@]}" "${models[@]}"
# Linking libav* costs 25 MB in every process; the worker alone does it.
forbid scened "${media[@]}" "${models[@]}"
# What reads hostile videos has neither the store, nor the index, nor sockets within reach.
forbid scened-worker scened scened-shared fjall usearch notify interprocess tokio
# What both sides agree on starts nothing and serves nobody.
forbid scened-common scened scened-shared fjall usearch notify interprocess tokio "${media[@]}" "${models[@]}"
forbid scened-shots scened scened-common scened-shared "${media[@]}" "${models[@]}"

# Of our packages only these need CRATE directly.
reserve() { # CRATE PACKAGE...
  local crate=$1 users user
  shift
  users=$(cargo tree --locked --quiet --workspace --all-features --target all --edges normal,build --invert "$crate" --depth 1 \
    --prefix none --format '{p}')
  # The first line is the crate itself; ours are those with a folder of this one.
  for user in $(tail -n +2 <<<"$users" | grep -F "($PWD/" | cut -d' ' -f1 | sort -u); do
    [[ " $* " == *" $user "* ]] || complain "$user depends on $crate, which is reserved for $*"
  done
}

# Only scened-hub speaks to other machines, and only scenectl has it do that.
for crate in ureq rustls rustls-native-certs; do reserve "$crate" scened-hub; done
reserve scened-hub scenectl
for package in scened scened-common scened-worker scened-shared scened-shots; do forbid "$package" ureq rustls; done
# It does not speak to the daemon, and knows no command line.
forbid scened-hub scened scenectl montage interprocess clap indicatif "${media[@]}" "${models[@]}"
# What is made of moments knows neither the daemon, nor a command line, nor a terminal.
forbid montage scened scenectl scened-hub interprocess ureq rustls clap indicatif ratatui crossterm "${media[@]}" "${models[@]}"
# The compiler sees the same only where such a package is built alone: in one build features are shared.
if grep -rnE 'scened_shared::(\{[^}]*)?(client|endpoint|frame|method)\b' ctl/hub/src ctl/montage/src; then complain "the client of scened-shared is used there"; fi

# Only the finder draws a full screen, and it can be left out.
for crate in ratatui crossterm; do
  if closure --package scenectl --no-default-features | grep -qx "$crate"; then complain "scenectl without browse depends on $crate"; fi
done

# The types of a library stay in the room that owns it.
confine() { # CRATE FOLDER REGEX-OF-THE-ROOM
  local file
  while IFS= read -r file; do
    [[ $file =~ $3 ]] || complain "$file uses $1, which belongs into $3"
  done < <(grep -rlE "(^|[^a-z_:])$1::" "$2" --include='*.rs' || true)
}
confine ffmpeg_next daemon/worker/src '^daemon/worker/src/media'
confine ort daemon/worker/src '^daemon/worker/src/embed'
confine fjall daemon/src '^daemon/src/store'
confine usearch daemon/src '^daemon/src/ann'
confine notify daemon/src '^daemon/src/watch'

# What the programs are linked with, where they have been built.
if [ "$(uname -s)" = Linux ]; then
  for program in target/debug/scened target/debug/scenectl target/debug/scened-desktop; do
    [ -x "$program" ] || continue
    linked=$(ldd "$program" | grep -oE 'lib(av|sw)[a-z]+|libonnxruntime' | sort -u | tr '\n' ' ' || true)
    [ -z "$linked" ] || complain "$program is linked with $linked"
  done
fi

[ $broken = 0 ] && echo "dependencies: every rule holds"
exit $broken
