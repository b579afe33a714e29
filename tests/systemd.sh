#!/usr/bin/env bash
# The installed node and coordinator under a real systemd: a Debian of its own, booted in a container whose network is a namespace that
# this test made. Needs root, debootstrap, systemd-nspawn and a Debian mirror; asserts each step and says it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
name=sfw-sd-$$
work=$(mktemp -d)
container=''

say() { printf 'ok   %s\n' "$*"; }
die() {
  printf 'FAILED %s\n' "$*"
  [ -z "$container" ] || inside journalctl --no-pager -u 'smartfw-*' | tail -n 30
  exit 1
}
clean_up() {
  shut_down
  ip netns del "$name" 2>/dev/null || true
  umount "$work/nspawn" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT

# Everything of this machine that the container may see is the checkout and the Rust that builds it.
boot() {
  nsenter --net="/run/netns/$name" setsid systemd-nspawn --quiet -D "$work/debian" --boot --machine="$name" \
    --register=no --keep-unit --network-veth --kill-signal=SIGRTMIN+3 --console=read-only \
    --bind="$root" --bind="${CARGO_HOME:-$HOME/.cargo}" --bind="${RUSTUP_HOME:-$HOME/.rustup}" \
    ${CARGO_TARGET_DIR:+--bind="$CARGO_TARGET_DIR"} >"$work/console" 2>&1 </dev/null &
  container=$!
  wait_for 40 inside systemctl is-active multi-user.target || die "systemd does not come up: $(tail -n 3 "$work/console")"
  inside ip address add 192.0.2.1/24 dev host0
  inside ip link set host0 up
}
shut_down() {
  [ -n "$container" ] || return 0
  kill -TERM "$container" 2>/dev/null || true
  wait "$container" 2>/dev/null || true
  container=''
}
inside() {
  local init
  init=$(pgrep -P "$container" | head -n 1)
  [ -n "$init" ] || return 1
  nsenter -t "$init" -m -u -i -n -p -- env -i HOME=/root TERM=dumb CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" \
    RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" ${CARGO_TARGET_DIR:+CARGO_TARGET_DIR="$CARGO_TARGET_DIR"} \
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
}
wait_for() {
  local tries=$(( $1 * 5 ))
  shift
  while ! "$@" >/dev/null 2>&1; do
    tries=$(( tries - 1 ))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.2
  done
}
drops() { inside ipset test smartfw_hard4 198.51.100.77 >/dev/null 2>&1 && inside iptables -t raw -C PREROUTING -j SMARTFW 2>/dev/null; }
active() { [ "$(inside systemctl is-active smartfw-node)" = active ]; }

debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd,iproute2,iptables,ipset,nftables,procps,build-essential \
  bookworm "$work/debian" >"$work/debootstrap.log" 2>&1 || die "debootstrap: $(tail -n 1 "$work/debootstrap.log")"
# The container's runtime folder has to be one that may be cleared.
mkdir -p /run/systemd/nspawn "$work/nspawn"
mountpoint -q /run/systemd/nspawn || { mount -t tmpfs tmpfs /run/systemd/nspawn; trap 'clean_up; umount /run/systemd/nspawn' EXIT; }
ip netns add "$name"
boot

inside "$root/deploy/install.sh" >"$work/install" 2>&1 || die "install.sh: $(tail -n 1 "$work/install")"
active || die "the node is not active after install.sh"
inside systemctl show -p StatusText smartfw-node | grep -q guards || die "the node does not tell systemd that it is ready"
say "install.sh brings up a node that tells systemd what it does"

inside smartfw-cli block 198.51.100.77 --for 2h >/dev/null
drops || die "a block is not in the kernel"
inside systemctl stop smartfw-node
drops || die "stopping the service took the block away"
say "stopping the service leaves the blocks"

inside smartfw-cli panic --for 5s >/dev/null || die "panic with the daemon dead"
! drops || die "panic left the block"
wait_for 20 drops || die "the timer does not end the panic"
say "panic without a daemon ends by systemd's timer"

inside systemctl start smartfw-node
before=$(inside systemctl show -p MainPID --value smartfw-node)
inside kill -STOP "$before"
other() { local now; now=$(inside systemctl show -p MainPID --value smartfw-node); [ "$now" != 0 ] && [ "$now" != "$before" ] && active; }
wait_for 60 other || die "the watchdog does not restart a node that hangs"
drops || die "the watchdog's restart took the block away"
say "a node that hangs is restarted by the watchdog, and drops meanwhile"

passphrase=SMARTFW_PASSPHRASE=one-two-three-four
inside env $passphrase smartfw-cli cluster init --name fleet --advertise 192.0.2.1 --operator admin \
  --root-file /root/root.pem >"$work/init" 2>&1 || die "the node founds no cluster: $(tail -n 1 "$work/init")"
token=$(inside env $passphrase smartfw-cli cluster token --role coordinator -o raw)
inside env SMARTFW_TOKEN="$token" runuser -u smartfw-coordinator -G smartfw -- smartfw-coordinator join 192.0.2.1:7470 \
  --state-dir /var/lib/smartfw-coordinator >"$work/join" 2>&1 || die "the coordinator does not join: $(tail -n 1 "$work/join")"
inside systemctl enable --now smartfw-coordinator 2>/dev/null
reported_to() { inside smartfw-cli status | grep -q '^ *coordinator  *connected'; }
# A member dials the addresses that it hears of once a minute.
wait_for 90 reported_to || die "the node does not reach the coordinator: $(inside smartfw-cli status)"
serves() { inside bash -c 'exec 3<>/dev/tcp/127.0.0.1/7480'; }
wait_for 30 serves || die "the coordinator does not listen for people"
before=$(inside systemctl show -p MainPID --value smartfw-coordinator)
inside kill -KILL "$before"
wait_for 90 reported_to && wait_for 30 serves || die "a coordinator that was killed is not started again"
inside systemctl stop smartfw-coordinator
drops || die "a block is gone with the coordinator"
say "the coordinator runs as its own user under its unit, and is started again"

inside systemctl disable smartfw-node 2>/dev/null
inside sh -c 'echo "flush ruleset" >/etc/nftables.conf && systemctl enable nftables' 2>/dev/null
shut_down
boot
drops || die "after a reboot nothing is dropped, although nobody but the restore unit had to do it"
say "after a reboot the restore unit drops without a daemon, in spite of a foreign ruleset"

inside systemctl enable --now smartfw-node 2>/dev/null
active || die "the node does not start after the reboot"
inside "$root/deploy/install.sh" --remove >/dev/null 2>&1 || die "install.sh --remove"
[ -z "$(inside ipset list -n)" ] || die "sets are left after --remove"
inside test ! -e /usr/local/bin/smartfw-node || die "programs are left after --remove"
inside "$root/deploy/install.sh" --purge >/dev/null 2>&1 || die "install.sh --purge"
inside test ! -e /var/lib/smartfw || die "state is left after --purge"
say "--remove and --purge take back what was installed"
