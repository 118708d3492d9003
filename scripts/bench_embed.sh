#!/usr/bin/env bash
# The embed worker beside ONNX Runtime driven from Python: the same files, the same threads, in turns (tests/bench/embed.py).
#
#   scripts/bench_embed.sh [MODEL_FOLDER...]     default: what tests/reference/full.sh made of ViT-B/32, else the starter model
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --locked --release -p scened-worker --bins --example embed_bench
venv=target/bench-embed/venv
if ! cmp -s tests/bench/requirements-embed.txt "$venv/installed.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/bench/requirements-embed.txt
  cp tests/bench/requirements-embed.txt "$venv/installed.txt"
fi
if [ "$#" -eq 0 ]; then
  for model in target/reference/clip-hf target/reference/clip-hf-fp16 target/reference/clip-hf-int8; do
    if [ -d "$model" ]; then set -- "$@" "$model"; fi
  done
  [ "$#" -gt 0 ] || set -- models/starter
fi
export SCENED_ONNXRUNTIME=${SCENED_ONNXRUNTIME:-$PWD/.setup/onnxruntime}
exec "$venv/bin/python" -B tests/bench/embed.py --bench target/release/examples/embed_bench --out target/bench-embed/embed.json "$@"
