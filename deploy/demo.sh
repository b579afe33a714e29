#!/usr/bin/env bash
# One guarded server, one attacker, one innocent client, each in a network namespace of its own. Nothing else on the
# machine is touched, and everything is gone afterwards.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/lib.sh
. "$root/deploy/lib.sh"

is_root || die "the demo makes network namespaces, which takes root: run it with sudo"

id=sfw-demo-$$
server=$id-server attacker=$id-attacker client=$id-client
attacker_address=203.0.113.66 client_address=198.51.100.7
at_attacker=203.0.113.1 at_client=198.51.100.1
work=$(mktemp -d)
children=()

clean_up() {
  local child name
  for child in ${children[@]+"${children[@]}"}; do kill "$child" 2>/dev/null || true; done
  wait 2>/dev/null || true
  for name in "$server" "$attacker" "$client"; do ip netns delete "$name" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

in_ns() { local name=$1; shift; ip netns exec "$name" "$@"; }
# start NAMESPACE COMMAND…: in the background, as a child that can be ended by its own id.
start() {
  local name=$1
  shift
  (exec ip netns exec "$name" "$@") &
  children+=($!)
}
cli() { in_ns "$server" "$programs/smartfw-cli" --socket "$work/node.sock" "$@"; }
step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '\033[2m$ smartfw-cli %s\033[0m\n' "$*"; cli "$@"; }

# connect SERVER-SIDE-NAME PEER-NAMESPACE SERVER-ADDRESS PEER-ADDRESS
connect() {
  ip -n "$server" link add "$1" type veth peer name eth0 netns "$2"
  ip -n "$server" address add "$3/24" dev "$1"
  ip -n "$2" address add "$4/24" dev eth0
  ip -n "$server" link set "$1" up
  ip -n "$2" link set eth0 up
  ip -n "$2" link set lo up
}

build_network() {
  ip netns add "$server"
  ip netns add "$attacker"
  ip netns add "$client"
  ip -n "$server" link set lo up
  connect to-attacker "$attacker" "$at_attacker" "$attacker_address"
  connect to-client "$client" "$at_client" "$client_address"
}

start_web_server() {
  mkdir "$work/www"
  echo '<h1>hello</h1>' >"$work/www/index.html"
  start "$server" python3 -m http.server 80 --directory "$work/www" >/dev/null 2>&1
  wait_for 10 in_ns "$client" curl -sf "http://$at_client/" || die "the demo's web server did not start"
}

start_node() {
  : >"$work/node.toml" # not the host's
  start "$server" "$programs/smartfw-node" --config "$work/node.toml" --name demo --state-dir "$work/state" --log-dir "$work/log" \
    --socket "$work/node.sock" --interface to-attacker --interface to-client --metrics 127.0.0.1:9470 \
    >"$work/node.out" 2>&1
  wait_for 15 cli status || { cat "$work/node.out" >&2; die "the node did not start"; }
}

# The innocent client asks for a page five times a second and writes down how each went.
start_client() {
  : >"$work/answers"
  while :; do
    in_ns "$client" curl -s -o /dev/null -m 2 -w '%{http_code}\n' "http://$at_client/" >>"$work/answers" || true
    sleep 0.2
  done &
  children+=($!)
}

is_dropped() { cli -o raw blocks | grep -q "$attacker_address"; }

install_packages build-essential iptables ipset iproute2 nmap curl python3 || die "the demo needs these packages"
require_rust "$root"
build_programs "$root"

step "a server, an attacker ($attacker_address) and an innocent client ($client_address)"
build_network
start_web_server
start_node
start_client
show status

step "the attacker scans the server: nmap -sT"
started=$(date +%s%N)
start "$attacker" timeout 60 nmap -sT -Pn -n -T4 --top-ports 200 --max-retries 0 "$at_attacker" >"$work/nmap" 2>&1
scan=${children[-1]}
wait_for 30 is_dropped || { cat "$work/node.out" >&2; die "the scan was not noticed"; }
say "dropped $(( ($(date +%s%N) - started) / 1000000 )) ms after nmap was started"
show blocks
show explain "$attacker_address"

step "the attacker knocks again, the client goes on"
if in_ns "$attacker" curl -s -o /dev/null -m 3 "http://$at_attacker/"; then
  die "the attacker still gets through"
fi
say "attacker: no answer within 3 s"
kill "$scan" 2>/dev/null || true
sleep 1
read -r answered asked < <(awk '$0 == 200 { answered++ } END { print answered + 0, NR }' "$work/answers")
say "client: $answered of $asked requests answered"
[ "$answered" = "$asked" ] || die "the innocent client was hurt"

step "what the kernel does"
say '$ ipset list smartfw_hard4'
in_ns "$server" ipset list smartfw_hard4 | sed -n '/^Members/,$p'

step "a person takes the block back"
show unblock "$attacker_address" --reason false-positive
in_ns "$attacker" curl -s -o /dev/null -m 3 -w 'attacker: HTTP %{http_code}\n' "http://$at_attacker/"
