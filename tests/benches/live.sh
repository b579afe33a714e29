#!/usr/bin/env bash
# The real daemon in a network namespace of its own: import and restart with 100,000 blocks, resident memory, and the
# time from the deciding packet to the drop in the kernel. Needs root and the release programs; prints figures, asserts
# nothing.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${SMARTFW_BIN:-${CARGO_TARGET_DIR:-$root/target}/release}
server=sfw-bench-$$ attacker=sfw-bench-$$-a
work=$(mktemp -d)
node=''

clean_up() {
  [ -z "$node" ] || kill "$node" 2>/dev/null || true
  wait 2>/dev/null || true
  ip netns del "$server" 2>/dev/null || true
  ip netns del "$attacker" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

cli() { ip netns exec "$server" "$bin/smartfw-cli" --socket "$work/sock" "$@"; }
millis() { echo $(( $(date +%s%N) / 1000000 )); }
resident() { awk '/^Vm(RSS|HWM)/ {printf "%s %d MB  ", $1, $2 / 1024}' "/proc/$node/status"; echo; }
start_node() {
  (exec ip netns exec "$server" "$bin/smartfw-node" --name bench --state-dir "$work/state" --log-dir "$work/log" \
    --socket "$work/sock" --interface eth0 2>>"$work/err") &
  node=$!
  until cli status >/dev/null 2>&1; do sleep 0.02; done
}

ip netns add "$server"
ip netns add "$attacker"
ip -n "$server" link set lo up
ip -n "$server" link add eth0 type veth peer name eth0 netns "$attacker"
ip -n "$server" address add 192.0.2.1/24 dev eth0
ip -n "$server" link set eth0 up
ip -n "$attacker" address add 192.0.2.2/24 dev eth0
ip -n "$attacker" link set eth0 up
ip -n "$attacker" link set lo up
ip -n "$attacker" route add local 198.18.0.0/16 dev lo
ip -n "$server" route add 198.18.0.0/16 via 192.0.2.2
start_node

# 500 sources, each with twenty SYNs to twenty ports, beside 10,000 flows a second of one client's datagrams.
ip netns exec "$attacker" python3 - <<'P'
import random, socket, struct, time
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
def syn(source, port):
    address, server = socket.inet_aton(source), socket.inet_aton("192.0.2.1")
    header = struct.pack("!HHIIBBHHH", random.randrange(1024, 65536), port, random.getrandbits(32), 0, 0x50, 2, 1024, 0, 0)
    tcp = header[:16] + struct.pack("!H", checksum(address + server + struct.pack("!HH", 6, 20) + header)) + header[18:]
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, address, server) + tcp
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
flows = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(200)]
begun, sent = time.monotonic(), 0
for n in range(500):
    for port in range(20):
        raw.sendto(syn(f"198.18.{n // 250}.{n % 250 + 1}", 1000 + port * 7), ("192.0.2.1", 0))
    while sent < (time.monotonic() - begun) * 10000 or time.monotonic() - begun < n * 0.02:
        flows[sent % 200].sendto(b"x", ("192.0.2.1", 2000 + sent % 3000)) if sent < (time.monotonic() - begun) * 10000 else time.sleep(0.0002)
        sent += sent < (time.monotonic() - begun) * 10000
print(f"sent 500 scans and {sent} datagrams in {time.monotonic() - begun:.1f} s")
P
sleep 1
echo "from the deciding packet to the kernel's acknowledgement (cumulative histogram, seconds):"
ip netns exec "$server" curl -s 127.0.0.1:9470/metrics | grep -E '^smartfw_.*(latency|drop).*(bucket|count|sum)' | sed 's/^/  /'
echo "blocks in the kernel: $(ip netns exec "$server" ipset list -t smartfw_soft4 | awk -F': ' '/entries/ {print $2}')"

awk 'BEGIN {for (i = 0; i < 100000; i++) printf "11.%d.%d.%d\n", i / 65536, i / 256 % 256, i % 256}' >"$work/list"
resident
begun=$(millis)
cli import "$work/list" >/dev/null 2>&1
echo "import of 100,000 blocks: $(( $(millis) - begun )) ms, in the kernel: $(ip netns exec "$server" ipset list -t smartfw_hard4 | awk -F': ' '/entries/ {print $2}')"
sleep 5
resident
kill -9 "$(pgrep -P "$node" || echo "$node")" 2>/dev/null || true
wait "$node" 2>/dev/null || true
begun=$(millis)
start_node
echo "restart after kill -9 with 100,000 blocks: $(( $(millis) - begun )) ms"
sleep 5
resident
