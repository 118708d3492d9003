#!/usr/bin/env bash
# Makes ViT-B/32 models with random weights in every layout, has transformers and open_clip compute their numbers, and compares those
# with what scened makes of the same folders. Prints one table.
#
#   tests/reference/full.sh [NAME...]     (makes only these anew and compares all that are there; the names are in README.md)
#
# Needs about 9 GB in target/ and 8 GB of memory; the first time it installs PyTorch into target/venv-reference.
# SCENED_REFERENCE_PYTHON names a Python that has what requirements.txt lists, and then nothing is installed.
# SCENED_TEST_CLIP is the folder with the real CLIP tokenizer (../shared/clip-vit-base-patch32).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ -z "${SCENED_TEST_CLIP:-}" ] && [ -d ../shared/clip-vit-base-patch32 ]; then
  SCENED_TEST_CLIP=$(cd ../shared/clip-vit-base-patch32 && pwd)
fi
if [ -z "${SCENED_TEST_CLIP:-}" ]; then
  echo "reference: the full-size models need the real CLIP tokenizer; SCENED_TEST_CLIP names its folder" >&2
  exit 2
fi
export SCENED_TEST_CLIP
export SCENED_ONNXRUNTIME=${SCENED_ONNXRUNTIME:-$PWD/.setup/onnxruntime}

python=${SCENED_REFERENCE_PYTHON:-}
if [ -z "$python" ]; then
  venv=target/venv-reference
  python=$venv/bin/python
  if ! cmp -s tests/reference/requirements.txt "$venv/installed.txt"; then
    python3 -m venv "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check -r tests/reference/requirements.txt
    cp tests/reference/requirements.txt "$venv/installed.txt"
  fi
fi

if [ "$#" -eq 0 ]; then
  rm -rf target/reference
else
  rm -f target/reference/*.tsv target/reference/parity.md
fi
"$python" -B tests/reference/models.py full "$@"
status=0
cargo test --locked -p scened-worker --all-features --no-fail-fast full_size -- --ignored --test-threads 1 || status=$?

echo
for file in ids pixels vectors; do
  [ -f "target/reference/$file.tsv" ] || { echo "reference: there is no $file.tsv, so that stage was not reached" >&2; exit 1; }
done
join -t "$(printf '\t')" target/reference/ids.tsv target/reference/pixels.tsv | join -t "$(printf '\t')" - target/reference/vectors.tsv | awk -F '\t' '
  BEGIN {
    print "| model | precision | texts with other ids | pixels, largest difference | texts, least cosine | largest difference | pictures, least cosine | largest difference | scores, largest difference | alone against in a batch, least cosine |"
    print "|---|---|---|---|---|---|---|---|---|---|"
  }
  { printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", $1, $4, $2, $3, $5, $6, $7, $8, $9, $10 }' | tee target/reference/parity.md
exit "$status"
