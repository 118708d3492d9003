#!/usr/bin/env bash
# The main job on the sample library: a private daemon indexes it with the starter model, and answers are compared with the truth.
#
# Exit status 1 when an answer is wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/with_sample_library.sh python3 scripts/demo.py tests/data/library/truth.json

cat <<'END'

That was the starter model, which knows drawn things. For your own videos:

  make install                    programs, starter model and user units under ~/.local
  systemctl --user enable --now scened.socket scened.service     (without systemd: run scened in a terminal)
  scenectl add ~/Videos
  scenectl wait
  scenectl model list             which models there are, and how to get one that knows real footage
  scenectl search "a dog digging in the garden"
END
