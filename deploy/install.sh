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
state=/var/lib/smartfw
# Lies here when the group is one that we made.
group_is_ours=$state/.group-is-ours
# The files that --remove took from the group, each name ended by a zero.
group_had=$state/.group-had
completions=(
  "bash /usr/local/share/bash-completion/completions/smartfw-cli"
  "zsh /usr/local/share/zsh/site-functions/_smartfw-cli"
  "fish /usr/local/share/fish/vendor_completions.d/smartfw-cli.fish"
)
has_systemd() { [ -d /run/systemd/system ]; }

install_all() {
  install_packages build-essential iptables ipset iproute2 || die "the packages above are needed"
  require_rust "$root"
  build_programs "$root"
  if ! getent group smartfw >/dev/null; then
    groupadd --system smartfw
    install -d -m 0750 "$state"
    : >"$group_is_ours"
  fi
  if ! getent passwd smartfw-coordinator >/dev/null; then
    useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin smartfw-coordinator
  fi
  install -d -m 0750 -o smartfw-coordinator -g smartfw-coordinator /var/lib/smartfw-coordinator
  install -m 0755 "$programs/smartfw-node" "$programs/smartfw-cli" "$programs/smartfw-coordinator" "$bin/"
  install -d -m 0750 -g smartfw /etc/smartfw /etc/smartfw/node.toml.d
  [ -e /etc/smartfw/node.toml ] || install -m 0640 -g smartfw "$root/deploy/node.toml" /etc/smartfw/node.toml
  [ -e /etc/smartfw/coordinator.toml ] || install -m 0640 -g smartfw "$root/deploy/coordinator.toml" /etc/smartfw/coordinator.toml
  chgrp smartfw /etc/smartfw/node.toml /etc/smartfw/coordinator.toml
  give_back
  install -d -m 0750 -g smartfw "$state" /var/log/smartfw
  install -d -m 0755 /usr/local/share/man/man1
  "$bin/smartfw-cli" man >/usr/local/share/man/man1/smartfw-cli.1
  local entry shell file
  for entry in "${completions[@]}"; do
    read -r shell file <<<"$entry"
    install -d -m 0755 "$(dirname "$file")"
    "$bin/smartfw-cli" completion "$shell" >"$file"
  done
  "$bin/smartfw-node" --check
  if has_systemd; then
    install -m 0644 "$root/deploy/smartfw-node.service" "$root/deploy/smartfw-restore.service" \
      "$root/deploy/smartfw-coordinator.service" "$units/"
    systemctl daemon-reload
    systemctl enable smartfw-restore.service smartfw-node.service
    [ "${1:-}" = --no-start ] || systemctl restart smartfw-node.service
  else
    say "systemd does not run here: start $bin/smartfw-node by your own means, and '$bin/smartfw-cli restore' at boot"
  fi
  say "installed. Members of the group smartfw may use smartfw-cli; try: smartfw-cli status"
}

# What --remove took from the group is the group's again: the coordinator reads its configuration as a member of it.
give_back() {
  local file
  [ -e "$group_had" ] || return 0
  while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || chgrp -h smartfw "$file"
  done <"$group_had"
  rm -f "$group_had"
}

# A node that runs without systemd is named in the lock of its state folder.
stop_node() {
  local process
  if has_systemd; then
    systemctl disable --now smartfw-coordinator.service smartfw-node.service smartfw-restore.service 2>/dev/null || true
  fi
  process=$(head -n 1 "$state/lock" 2>/dev/null) || return 0
  case $(readlink "/proc/${process:-none}/exe") in
    "$bin/smartfw-node"*) kill "$process" && wait_for 20 test ! -e "/proc/$process/exe" ;;
  esac
}

remove_all() {
  local entry group=''
  [ ! -e "$group_is_ours" ] || group=ours
  stop_node || die "the node does not end: nothing was removed"
  if [ -x "$bin/smartfw-cli" ]; then
    "$bin/smartfw-cli" disable || die "the rules remain in the kernel: nothing was removed, but the node is stopped"
  fi
  rm -f "$units/smartfw-node.service" "$units/smartfw-restore.service" "$units/smartfw-coordinator.service"
  if has_systemd; then systemctl daemon-reload; fi
  rm -f "$bin/smartfw-node" "$bin/smartfw-cli" "$bin/smartfw-coordinator" /usr/local/share/man/man1/smartfw-cli.1
  for entry in "${completions[@]}"; do rm -f "${entry#* }"; done
  rm -rf /run/smartfw
  if [ "${1:-}" = --purge ]; then
    rm -rf /etc/smartfw "$state" /var/log/smartfw /var/lib/smartfw-coordinator /var/log/smartfw-coordinator
    if getent passwd smartfw-coordinator >/dev/null; then userdel smartfw-coordinator; fi
  else
    keep_data
  fi
  if [ -n "$group" ] && getent group smartfw >/dev/null; then groupdel smartfw; fi
}

# What the node remembers and what a person wrote stays; what only stood for this installation goes.
keep_data() {
  local file
  # What `disable` noted down must not switch off a later installation.
  rm -f "$state/rescue.jsonl" "$state/rescue.taken.jsonl" "$state/boot/suspended.json" "$group_is_ours"
  for file in node coordinator; do
    if cmp -s "$root/deploy/$file.toml" "/etc/smartfw/$file.toml"; then rm -f "/etc/smartfw/$file.toml"; fi
  done
  rmdir /etc/smartfw/node.toml.d /etc/smartfw 2>/dev/null || true
  local kept=() folder
  for folder in /etc/smartfw "$state" /var/log/smartfw; do
    [ -d "$folder" ] || continue
    take_from_group "$folder"
    kept+=("$folder")
  done
  for folder in /var/lib/smartfw-coordinator /var/log/smartfw-coordinator; do
    [ -d "$folder" ] || continue
    take_from_group "$folder"
    kept+=("$folder")
  done
  if [ ${#kept[@]} -gt 0 ]; then say "kept: ${kept[*]} (--purge removes them)"; fi
}

# take_from_group FOLDER: the group may be gone in a moment, and its number somebody else's.
take_from_group() {
  getent group smartfw >/dev/null || return 0
  install -d -m 0750 "$state"
  find "$1" -group smartfw -print0 >>"$group_had"
  find "$1" -group smartfw -exec chgrp -h root {} +
}

is_root || die "run it as root"
case ${1:-} in
  '' | --no-start) install_all "$@" ;;
  --remove) remove_all ;;
  --purge) remove_all --purge ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
