#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz, each for SECONDS (60), or those that are named: scripts/fuzz.sh [TARGET...]
#
# With the stable toolchain and without a sanitizer: what is looked for is panics, overflows, broken promises, endless loops and memory
# without bound, and there is hardly any unsafe code to sanitize. What is found lies in target/fuzz/found and ends the run with 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${SECONDS_EACH:-60}
tools=$PWD/target/tools
fuzz=$(command -v cargo-fuzz || true)
if [ -z "$fuzz" ]; then
  fuzz=$tools/bin/cargo-fuzz
  [ -x "$fuzz" ] || cargo install --locked --quiet --root "$tools" --version 0.13.2 cargo-fuzz
fi
# The versions that the workspace is tested with; cargo adds libFuzzer's.
cp Cargo.lock tests/fuzz/Cargo.lock
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd tests/fuzz/targets && printf '%s\n' *.rs | sed 's/\.rs$//')

export CARGO_TARGET_DIR=$PWD/target/fuzz/build
"$fuzz" build --fuzz-dir tests/fuzz --sanitizer none --release
# Says how one target ended; 1 if it found something.
one() {
  local target=$1 status=0 log=target/fuzz/$1.log
  mkdir -p "target/fuzz/grown/$target" "target/fuzz/found/$target"
  "$fuzz" run --fuzz-dir tests/fuzz --sanitizer none --release "$target" "target/fuzz/grown/$target" "tests/fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="target/fuzz/found/$target/" > "$log" 2>&1 || { echo "fuzz: $target ended badly; the end of $log:"; tail -n 20 "$log"; status=1; }
  grep -HE "stat::number_of_executed|DONE" "$log" || { echo "fuzz: $target did not run"; status=1; }
  if [ -n "$(ls -A "target/fuzz/found/$target")" ]; then
    echo "fuzz: $target failed on what is in target/fuzz/found/$target"
    status=1
  fi
  return $status
}
export -f one
export fuzz seconds
echo "== fuzz ${targets[*]}: $seconds s each, one on each processor"
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I {} bash -c 'one {}'
