#!/usr/bin/env bash
# Installs SmartFW on this host, or takes it away again.
#
#   sudo deploy/install.sh            build, install programs, configuration, units and the group smartfw; start the node
#   sudo deploy/install.sh --no-start the same without starting anything
#   sudo deploy/install.sh --remove   stop it and take all of it back; state, logs and configuration stay
#   sudo deploy/install.sh --purge    the same, with state, logs and configuration
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/lib.sh
. "$root/deploy/lib.sh"

bin=/usr/local/bin
units=/etc/systemd/system
has_systemd() { [ -d /run/systemd/system ]; }

install_all() {
  install_packages build-essential iptables ipset iproute2 || die "the packages above are needed"
  require_rust "$root"
  build_programs "$root"
  getent group smartfw >/dev/null || groupadd --system smartfw
  install -m 0755 "$programs/smartfw-node" "$programs/smartfw-cli" "$bin/"
  install -d -m 0750 -g smartfw /etc/smartfw /etc/smartfw/node.toml.d
  [ -e /etc/smartfw/node.toml ] || install -m 0640 -g smartfw "$root/deploy/node.toml" /etc/smartfw/node.toml
  install -d -m 0750 -g smartfw /var/lib/smartfw /var/log/smartfw
  install -d -m 0755 /usr/local/share/man/man1 /usr/local/share/bash-completion/completions
  "$bin/smartfw-cli" man >/usr/local/share/man/man1/smartfw-cli.1
  "$bin/smartfw-cli" completion bash >/usr/local/share/bash-completion/completions/smartfw-cli
  "$bin/smartfw-node" --check
  if has_systemd; then
    install -m 0644 "$root/deploy/smartfw-node.service" "$root/deploy/smartfw-restore.service" "$units/"
    systemctl daemon-reload
    systemctl enable smartfw-restore.service smartfw-node.service
    [ "${1:-}" = --no-start ] || systemctl restart smartfw-node.service
  else
    say "systemd does not run here: start $bin/smartfw-node by your own means, and '$bin/smartfw-cli restore' at boot"
  fi
  say "installed. Members of the group smartfw may use smartfw-cli; try: smartfw-cli status"
}

remove_all() {
  if has_systemd; then
    systemctl disable --now smartfw-node.service smartfw-restore.service 2>/dev/null || true
  fi
  [ -x "$bin/smartfw-cli" ] && "$bin/smartfw-cli" disable || true
  rm -f "$units/smartfw-node.service" "$units/smartfw-restore.service"
  if has_systemd; then systemctl daemon-reload; fi
  rm -f "$bin/smartfw-node" "$bin/smartfw-cli" /usr/local/share/man/man1/smartfw-cli.1 \
    /usr/local/share/bash-completion/completions/smartfw-cli
  rm -rf /run/smartfw
  if [ "${1:-}" = --purge ]; then
    rm -rf /etc/smartfw /var/lib/smartfw /var/log/smartfw
    getent group smartfw >/dev/null && groupdel smartfw
  else
    # What `disable` noted down must not switch off a later installation.
    rm -f /var/lib/smartfw/rescue.jsonl
    say "kept: /etc/smartfw, /var/lib/smartfw, /var/log/smartfw (--purge removes them)"
  fi
}

is_root || die "run it as root"
case ${1:-} in
  '' | --no-start) install_all "$@" ;;
  --remove) remove_all ;;
  --purge) remove_all --purge ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
