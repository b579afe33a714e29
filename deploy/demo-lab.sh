# The demo's laboratory: hosts on wires of their own, what runs on them, and how they are looked at. Sourced, never run.
#
#   attacker 203.0.113.66 ─┐
#   attacker 203.0.113.77 ─┤ the Internet: web-1 to web-3 are 192.0.2.1 to 192.0.2.3
#   client   198.51.100.7 ─┘
#
#   the fleet's own wire: web-1 to web-3 are 10.99.0.1 to 10.99.0.3. A partition pulls plugs here, and only here.

id=sfw-demo-$$
nodes=(1 2 3)
attacker=203.0.113.66 second_attacker=203.0.113.77 client=198.51.100.7
work=$(mktemp -d)
export SMARTFW_OPERATOR_DIR="$work/operator" SMARTFW_PASSPHRASE='four random words here'

public()  { echo "192.0.2.$1"; }
private() { echo "10.99.0.$1"; }
url()     { echo "http://192.0.2.$1/"; }

# in_ns HOST COMMAND…
in_ns() { local host=$1; shift; ip netns exec "$id-$host" "$@"; }

# start HOST COMMAND…: in the background, as a child whose id is left in $!.
start() {
  local host=$1
  shift
  (exec ip netns exec "$id-$host" "$@") &
}

# end CHILDREN…: those that still run, politely, and after five seconds less so.
end() {
  local child tries=50
  for child in "$@"; do ! runs "$child" || kill "$child" || true; done
  for child in "$@"; do
    while [ "$tries" -gt 0 ] && runs "$child"; do tries=$((tries - 1)); sleep 0.1; done
    ! runs "$child" || kill -9 "$child" || true
    wait "$child" 2>/dev/null || true
  done
}
# Asked of the shell, which knows its own: an id alone may be somebody else's by now.
runs() { jobs -rp | grep -qx "$1"; }

clean_up() {
  local host running
  mapfile -t running < <(jobs -rp)
  end ${running[@]+"${running[@]}"}
  for host in hub client attacker attacker-2 web-1 web-2 web-3; do ip netns delete "$id-$host" 2>/dev/null || true; done
  rm -rf "$work"
}

# plug HOST INTERFACE SWITCH ADDRESS
plug() {
  ip -n "$id-hub" link add "$1-$3" type veth peer name "$2" netns "$id-$1"
  ip -n "$id-hub" link set "$1-$3" master "$3" up
  ip -n "$id-$1" address add "$4" dev "$2"
  ip -n "$id-$1" link set "$2" up
}

add_host() { ip netns add "$id-$1" && ip -n "$id-$1" link set lo up; }

add_visitor() {
  add_host "$1"
  plug "$1" eth0 net "$2/32"
  ip -n "$id-$1" route add 192.0.2.0/24 dev eth0
}

add_server() {
  local host=web-$1 far
  add_host "$host"
  plug "$host" eth0 net "$(public "$1")/24"
  plug "$host" eth1 lan "$(private "$1")/24"
  for far in 203.0.113.0/24 198.51.100.0/24; do ip -n "$id-$host" route add "$far" dev eth0; done
}

build_network() {
  local switch node
  ip netns add "$id-hub"
  for switch in net lan; do ip -n "$id-hub" link add "$switch" type bridge && ip -n "$id-hub" link set "$switch" up; done
  for node in "${nodes[@]}"; do add_server "$node"; done
  add_visitor attacker "$attacker"
  add_visitor attacker-2 "$second_attacker"
  add_visitor client "$client"
}

# The fleet's switch: the plug of a server is pulled, or put back. Its own link stays up: nobody is told.
unplug() { ip -n "$id-hub" link set "web-$1-lan" nomaster; }
replug() { ip -n "$id-hub" link set "web-$1-lan" master lan; }

start_web_servers() {
  local node
  mkdir "$work/www"
  echo '<h1>hello</h1>' >"$work/www/index.html"
  for node in "${nodes[@]}"; do
    mkdir "$work/web-$node"
    start "web-$node" python3 -m http.server 80 --bind "$(public "$node")" --directory "$work/www" \
      >/dev/null 2>"$work/web-$node/asked"
  done
  for node in "${nodes[@]}"; do
    wait_for 15 in_ns client curl -sf "$(url "$node")" || die "the web server on web-$node did not start"
  done
}

start_nodes() {
  local node at
  printf '[detection]\nlogins = "off"\n' >"$work/node.toml" # those of the host are not for the demo
  for node in "${nodes[@]}"; do
    at=$work/web-$node
    start "web-$node" "$programs/smartfw-node" --config "$work/node.toml" --name "web-$node" --state-dir "$at/state" \
      --log-dir "$at/log" --socket "$at/node.sock" --metrics off >"$at/journal" 2>&1
  done
  for node in "${nodes[@]}"; do
    wait_for 20 cli "$node" status || { cat "$work/web-$node/journal" >&2; die "the node on web-$node did not start"; }
  done
}

# cli NODE ARGUMENTS…; show NODE ARGUMENTS… the same, told.
cli() { local node=$1; shift; in_ns "web-$node" "$programs/smartfw-cli" --socket "$work/web-$node/node.sock" "$@"; }
show() { told "web-$1" "smartfw-cli ${*:2}"; cli "$@"; }

# told HOST COMMAND: what is about to be typed where.
told() { printf '%s%s$ %s%s\n' "$dim" "$1" "$2" "$plain"; }
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
bold='' dim='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'; fi

# The innocent client asks every server for a page up to three times a second and writes down how each request went.
# A first packet that must be sent again, which is after a second, counts as a failure too.
askers=()
start_client() {
  local node
  : >"$work/asking"
  for node in "${nodes[@]}"; do
    while [ -e "$work/asking" ]; do
      in_ns client curl -s -o /dev/null --connect-timeout 0.9 -m 5 -w "%{http_code} web-$node\n" "$(url "$node")" \
        >>"$work/answers" || true
      sleep 0.3
    done &
    askers+=($!)
  done
}

# stop_client: once what it has asked is answered, or was not for five seconds.
stop_client() {
  local asker
  for asker in "${askers[@]}"; do runs "$asker" || fail "the innocent client has stopped asking"; done
  rm "$work/asking"
  wait "${askers[@]}"
}

now_us()  { echo "${EPOCHREALTIME/[.,]/}"; }
seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }

# fail WHY: with the daemons' last words.
fail() {
  tail -n 5 "$work"/web-*/journal >&2
  die "$*"
}

# A counter behind SmartFW's tables on every server: the packets of an attacker that got through.
count_what_gets_through() {
  local node who
  for node in "${nodes[@]}"; do
    for who in "$attacker" "$second_attacker"; do in_ns "web-$node" iptables -w -A INPUT -s "$who"; done
  done
}

# got_through NODE SOURCE; dropped NODE SOURCE: packets so far.
got_through() { in_ns "web-$1" iptables -w -vnxL INPUT | awk -v who="$2" '$0 ~ who { print $1 }'; }
dropped() { kernel_sets "$1" | awk -v who="$2" '$1 == who { packets += $5 } END { print packets + 0 }'; }
kernel_sets() { in_ns "web-$1" ipset list smartfw_hard4 && in_ns "web-$1" ipset list smartfw_soft4; }

# holds NODE TARGET: whether its kernel drops the target. A scan that found too few open ports to prove its address is
# dropped by the soft set, which spares connections that were there before.
holds() { in_ns "web-$1" ipset -q test smartfw_hard4 "$2" || in_ns "web-$1" ipset -q test smartfw_soft4 "$2"; } 2>/dev/null

# watch TARGET NODES…: asks their kernels every few milliseconds whether they drop the target, until they do. Written
# down are that it has begun, and then the last moment of a no and the first of a yes.
watch() {
  local target=$1 node
  shift
  for node in "$@"; do
    # shellcheck disable=SC2016 # for the inner shell
    start "web-$node" bash -c '
      exec {never}<> <(:)
      until now=$EPOCHREALTIME; ipset -q test smartfw_hard4 "$1" || ipset -q test smartfw_soft4 "$1"; do
        [ "${no:-}" ] || echo begun
        no=$now
        read -rt 0.002 -u "$never"
      done
      echo "${no/[.,]/} ${EPOCHREALTIME/[.,]/}"' watch "$target" >"$work/web-$node/$target" 2>/dev/null
  done
  for node in "$@"; do wait_for 10 lines 1 "$work/web-$node/$target" || fail "web-$node cannot be watched"; done
}
lines() { [ "$(wc -l <"$2")" = "$1" ]; }

# await_drops TARGET NODES…: leaves in $not_yet_at and $dropped_at what `watch` saw, by node.
not_yet_at=() dropped_at=()
await_drops() {
  local target=$1 node
  shift
  for node in "$@"; do
    wait_for 30 lines 2 "$work/web-$node/$target" || fail "web-$node does not drop $target"
    read -r "not_yet_at[$node]" "dropped_at[$node]" < <(tail -n 1 "$work/web-$node/$target")
  done
}

# lag NODE FIRST: by how many milliseconds at most its kernel dropped later than the first's: from the first's last no.
lag() { echo $(( (dropped_at[$1] - not_yet_at[$2] + 999) / 1000 )); }

# refuse HOST ADDRESS NODE: the host asks for the page for two seconds, and nothing of it may get through.
refused=0
refuse() {
  local before after through
  before=$(dropped "$3" "$2")
  told "$1" "curl -m 2 $(url "$3")"
  ! in_ns "$1" curl -s -o /dev/null -m 2 "$(url "$3")" || fail "web-$3 answers $2"
  after=$(dropped "$3" "$2") through=$(got_through "$3" "$2")
  say "no answer: web-$3's kernel dropped $((after - before)) packets and let $through through"
  { [ "$after" -gt "$before" ] && [ "$through" = 0 ]; } || fail "$2 got through to web-$3"
  ! grep -q "^$2 " "$work/web-$3/asked" || fail "the web server on web-$3 has heard of $2"
  refused=$((refused + after - before))
}

# What the daemons say, in fields: members that are alive, and blocks.
alive() { cli "$1" -o raw cluster nodes | awk -F'\t' '$3 == "alive"' | wc -l; }
all_know() { local node; for node in "${nodes[@]}"; do [ "$(alive "$node")" = "$1" ] || return 1; done; }
# sees NODE STATE OTHER: what it thinks of the other.
sees() { cli "$1" -o raw cluster nodes | awk -F'\t' '{ print $3, $1 }' | grep -qx "$2 web-$3"; }
alone() { [ "$(alive "$1")" = 1 ]; }
fleet_list() { cli "$1" -o raw cluster blocks | cut -f 1-3 | sort; }
kernel_list() { kernel_sets "$1" | awk '/^Name:/ { set = $2 } /^[0-9].* timeout / { print set, $1 }' | sort; }
enforced_on() { cli 1 -o raw cluster blocks | awk -F'\t' -v who="$1/32" '$1 == who { print gsub(",", ",", $5) + 1 }'; }
enforced_everywhere() { [ "$(enforced_on "$1")" = 3 ]; }
nobody_holds() { local node; for node in "${nodes[@]}"; do ! holds "$node" "$1" || return 1; done; }

# identical TARGETS…: whether the lists of all daemons are the same, and those of all kernels, and hold just these.
identical() {
  local wanted node list kernel
  wanted=$(printf '%s\n' "$@" | sort)
  list=$(fleet_list 1) kernel=$(kernel_list 1)
  [ "$(cut -d / -f 1 <<<"$list" | sort)" = "$wanted" ] || return 1
  [ "$(cut -d ' ' -f 2 <<<"$kernel" | sort)" = "$wanted" ] || return 1
  for node in 2 3; do
    [ "$(fleet_list "$node")" = "$list" ] || return 1
    [ "$(kernel_list "$node")" = "$kernel" ] || return 1
  done
}
