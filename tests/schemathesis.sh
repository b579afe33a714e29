#!/usr/bin/env bash
# Asks the API whatever its OpenAPI document allows and forbids, over TLS on loopback, and holds the answers against the
# document: https://schemathesis.readthedocs.io. `tests/schemathesis.sh [CASES]`: cases of an operation at most, 100 unless
# given. It needs python3 with pip and venv; the version below is installed under target/ at the first run.
set -eu
cd "$(dirname "$0")/.."

version=4.32.5
cases=${1:-100}
target=${CARGO_TARGET_DIR:-$PWD/target}
venv=$target/schemathesis-$version
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT

if [ ! -x "$venv/bin/schemathesis" ]; then
  python3 -m venv "$venv" && "$venv/bin/pip" install -q "schemathesis==$version" || { rm -rf "$venv"; exit 1; }
fi
cargo build -q -p smartfw-api --features fixture --example api

"$target/debug/examples/api" 127.0.0.1:0 "$folder" >"$folder/out" &
server=$!
for _ in $(seq 100); do
  url=$(sed -n 's/^https:\/\/localhost:/https:\/\/127.0.0.1:/p' "$folder/out")
  [ -n "$url" ] && break
  sleep 0.1
done
[ -n "$url" ] || { echo "the API does not answer" >&2; exit 1; }
password=$(sed -n "s/^admin's password, shown this once: //p" "$folder/out")

call() { curl -sSk --fail-with-body -b "$folder/jar" -c "$folder/jar" -H 'X-Smartfw: 1' -H 'Content-Type: application/json' "$@"; }
token() {
  call -d "{\"name\":\"schemathesis\",\"role\":\"$1\",\"duration\":86400}" "$url/api/v1/tokens" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])'
}
call -d "{\"name\":\"admin\",\"password\":\"$password\"}" "$url/api/v1/login" >/dev/null
admin=$(token admin)
bouncer=$(token bouncer)
call -H "Authorization: Bearer $admin" "$url/api/v1/openapi.json" -o "$folder/openapi.json"

# ignored_auth adds wrong credentials of one kind to the right ones of another, which decide. Left out of the document's
# operations: what revokes tokens, because it would revoke the run's own, and the WebSocket. Cargo's tests are for these.
run() {
  echo "== $1"
  shift
  "$venv/bin/schemathesis" run "$folder/openapi.json" --url "$url" --tls-verify false --max-examples "$cases" --seed 1 \
    --checks all --no-color --continue-on-failure "$@"
}
failed=0
bearer="Authorization: Bearer $admin"
run "as an admin" -H "$bearer" --exclude-checks ignored_auth --exclude-path-regex '^/v1/' --exclude-path /api/v1/live \
  --exclude-path '/api/v1/tokens/{id}' --exclude-path /api/v1/events --exclude-path /api/v1/alerts || failed=1
# Which cursors there are, only an earlier answer says.
run "pages of events" -H "$bearer" --exclude-checks ignored_auth,positive_data_acceptance \
  --include-path /api/v1/events --include-path /api/v1/alerts || failed=1
run "as a bouncer" -H "X-Api-Key: $bouncer" --include-path-regex '^/v1/' || failed=1
exit $failed
