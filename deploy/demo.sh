#!/usr/bin/env bash
# A fleet of three web servers, two attackers and an innocent client, each in a network namespace of its own: an attack
# on one server, a partition, and its healing. Nothing else on the machine is touched, everything is gone afterwards,
# and the script fails where the fleet does not keep what the script says.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/lib.sh
. "$root/deploy/lib.sh"

is_root || die "the demo makes network namespaces, which takes root: run it with sudo"

# shellcheck source=deploy/demo-lab.sh
. "$root/deploy/demo-lab.sh"
trap clean_up EXIT
trap 'exit 130' INT TERM

# What is promised, in milliseconds. On two quiet cores the spread is 20 to 60; on busy ones, more.
spread_limit=1000 heal_limit=5000
operators_block=198.51.100.44

found_the_fleet() {
  local node token
  # The root's file is written where one stands.
  (cd "$work" && show 1 cluster init --name demo --advertise "$(private 1)" --operator alice) | sed -n 1,3p
  for node in 2 3; do
    told web-1 "smartfw-cli cluster token -o raw"
    token=$(cli 1 cluster token -o raw)
    say "${token:0:24}…"
    told "web-$node" "smartfw-cli cluster join $(private 1) --token ${token:0:24}…"
    cli "$node" cluster join "$(private 1)" --token "$token"
  done
  wait_for 20 all_know 3 || fail "the three did not find each other"
  show 1 cluster nodes
}

# scan ATTACKER NODE: begins a scan and leaves when it began in $began; it goes on.
scan() {
  told "$1" "nmap -sT $(public "$2")"
  began=$(now_us)
  start "$1" timeout 60 nmap -sT -Pn -n -T4 --top-ports 200 --max-retries 0 "$(public "$2")" >/dev/null 2>&1
  scanner=$!
}

attack_the_first() {
  watch "$attacker" 1 2 3
  scan attacker 1
  await_drops "$attacker" 1 2 3
  first_drop=$(( (dropped_at[1] - began) / 1000 ))
  say "web-1's kernel drops $attacker $first_drop ms after nmap was started"
  spread=0
  local node lag
  for node in 2 3; do
    lag=$(lag "$node" 1)
    say "web-$node's kernel drops it at most $lag ms after web-1's"
    [ "$lag" -le "$spread" ] || spread=$lag
  done
  [ "$spread" -le "$spread_limit" ] || fail "that is later than $spread_limit ms"
}

knock_at_the_others() {
  local node
  for node in 2 3; do
    [ "$(got_through "$node" "$attacker")" = 0 ] || fail "the attacker was at web-$node already"
  done
  for node in 2 3; do refuse attacker "$attacker" "$node"; done
  end "$scanner"
}

explain_it() {
  wait_for 5 enforced_everywhere "$attacker" || fail "web-1 was not told that all enforce its block"
  show 1 cluster blocks
  show 2 explain "$attacker"
}

part() {
  unplug 1
  say "web-1's plug is pulled out of the fleet's switch; the Internet still reaches all three"
  wait_for 30 alone 1 || fail "web-1 did not notice that it is alone"
  show 1 cluster nodes
}

block_on_each_side() {
  show 1 block "$operators_block" --for 1h
  watch "$second_attacker" 2 3
  scan attacker-2 2
  await_drops "$second_attacker" 2 3
  say "web-2's kernel drops $second_attacker $(( (dropped_at[2] - began) / 1000 )) ms after nmap was started"
  say "web-3's kernel drops it at most $(lag 3 2) ms after web-2's"
  end "$scanner"
}

compare_the_sides() {
  wait_for 30 sees 3 dead 1 || fail "web-3 did not notice that web-1 is gone"
  show 3 cluster nodes
  show 1 cluster blocks
  show 3 cluster blocks
  local node
  holds 1 "$operators_block" || fail "web-1 does not drop what its operator blocked"
  ! holds 1 "$second_attacker" || fail "web-1 knows what it cannot know: the partition has a hole"
  for node in 2 3; do
    holds "$node" "$second_attacker" || fail "web-$node does not drop the second attacker"
    ! holds "$node" "$operators_block" || fail "web-$node knows what it cannot know: the partition has a hole"
  done
  say "each side drops what it has seen, and neither has the other's"
}

heal() {
  local healing
  replug 1
  healing=$(now_us)
  wait_for 30 identical "$attacker" "$second_attacker" "$operators_block" || fail "the lists did not become identical"
  healed=$(( ($(now_us) - healing) / 1000 ))
  say "the plug is in again: identical lists, in the daemons and in the kernels, $(seconds "$healed") s later"
  [ "$healed" -le "$heal_limit" ] || fail "that is later than $(seconds "$heal_limit") s"
  show 3 cluster blocks
  refuse attacker-2 "$second_attacker" 1
}

take_back() {
  local node ordered
  ordered=$(now_us)
  show 3 unblock "$attacker" --reason false-positive
  wait_for 10 nobody_holds "$attacker" || fail "somebody still drops $attacker"
  taken_back=$(( ($(now_us) - ordered) / 1000 ))
  for node in "${nodes[@]}"; do
    in_ns attacker curl -sf -o /dev/null -m 5 "$(url "$node")" || fail "web-$node still refuses $attacker"
  done
  say "no kernel drops it any more $taken_back ms after the order was typed, and it gets its page from all three"
  show 1 trust list
}

judge_the_client() {
  local servers
  stop_client
  read -r asked failed < <(awk '$1 != 200 { failed++ } END { print NR, failed + 0 }' "$work/answers")
  servers=$(cut -d ' ' -f 2 "$work/answers" | sort -u | wc -l)
  say "the innocent client asked the three $asked times, from before the attack until now: $failed failures"
  [ "$failed" = 0 ] || fail "the innocent client was hurt"
  [ "$servers" = 3 ] || fail "the innocent client did not ask all three"
}

sum_up() {
  tr '\n' ' ' <<TEXT | fold -s -w 100 | sed 's/ *$//'
The attack on web-1 was dropped there $first_drop ms after nmap was started, and by the kernels of web-2 and web-3 at most
$spread ms after that. Of what the attackers sent to servers where they had never been, the kernels dropped $refused packets
and let 0 through. Cut in two, each side went on protecting itself; $(seconds "$healed") s after the healing all had the same
lists. One order of an operator ended a block on all three in $taken_back ms. The innocent client made $asked requests
meanwhile, and $failed failed. No coordinator, no DNS and no Internet took part. All of it took $SECONDS s.
TEXT
  say ''
}

install_packages build-essential iptables ipset iproute2 nmap curl python3 || die "the demo needs these packages"
require_rust "$root"
build_programs "$root"
SECONDS=0

step "three web servers, two attackers ($attacker, $second_attacker), an innocent client ($client)"
build_network
start_web_servers
start_nodes
count_what_gets_through
start_client
step "the three become a fleet"
found_the_fleet
step "the attacker scans web-1"
attack_the_first
step "it turns to web-2 and web-3, for the first time"
knock_at_the_others
step "what the fleet knows of it"
explain_it
step "a partition: web-1 on one side, web-2 and web-3 on the other; a block on each side"
part
block_on_each_side
compare_the_sides
step "the healing"
heal
step "the block of the first attacker is taken back, in the whole fleet"
take_back
step "what was promised"
judge_the_client
sum_up
