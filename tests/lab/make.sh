#!/usr/bin/env bash
# Makes the tables of this folder anew, from nothing but this repository and the tools of tests/run.sh.
#
#   tests/lab/make.sh DIR    keeps the captures (about 3 GB) and the tools' logs in DIR; needs root and two hours
#
# Two laboratories run at once on two cores; more of them would change the rates that are recorded.
set -eu
[ $# = 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
dir=$(realpath "$1")
cd "$(dirname "$0")/../.."
cargo build -q -p smartfw-tests --bin lab
lab=$(realpath "${CARGO_TARGET_DIR:-target}/debug/lab")
classes="brute_force net_flood slow_dos http_flood port_scan"

# shellcheck disable=SC2086 # a list of words
first() {
  "$lab" capture "$dir/flood" brute_force net_flood
  "$lab" capture --plain "$dir/flood-plain" brute_force net_flood
  "$lab" capture --unseen "$dir/unseen" $classes
  "$lab" load 720 "$dir/everyday-other" 1000
}
# shellcheck disable=SC2086
second() {
  "$lab" capture "$dir/slow" slow_dos http_flood
  "$lab" capture --plain "$dir/slow-plain" slow_dos http_flood
  "$lab" capture "$dir/scan" port_scan
  "$lab" capture --plain --unseen "$dir/unseen-plain" $classes
}
# Each job is a group of its own, with all the programs that it starts.
set -m
jobs=()
# Whatever ends this ends what it started: a laboratory that goes on alone would disturb the next one.
end() {
  local job
  for job in "${jobs[@]}"; do
    kill -- "-$job" 2>/dev/null || true
  done
}
trap end EXIT
trap 'exit 1' INT TERM
first >"$dir/first.log" 2>&1 &
jobs+=($!)
second >"$dir/second.log" 2>&1 &
jobs+=($!)
failed=0
for job in "${jobs[@]}"; do
  wait "$job" || failed=1
done
jobs=()
[ $failed = 0 ] || { echo "a laboratory failed; see $dir/first.log and $dir/second.log" >&2; exit 1; }
"$lab" load 1800 "$dir/everyday" >"$dir/everyday.log" 2>&1

table() {
  local name=$1
  shift
  (cd "$dir" && "$lab" windows "$@" "$dir/$name.csv")
  gzip -n -9 -c "$dir/$name.csv" >"tests/lab/$name.csv.gz"
}
table windows flood flood-plain slow slow-plain scan everyday
table held-out unseen unseen-plain everyday-other
