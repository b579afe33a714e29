#!/usr/bin/env bash
# Tries SmartFW out from a source checkout, without installing it.
#
#   sudo deploy/run.sh [--keep] [node arguments…]   guard this host until Ctrl-C, which takes the rules away again
#   sudo deploy/run.sh demo                         watch a fleet of three drop an attack, inside network namespaces only
#
# State and logs go to ./run/. Arguments such as --interface and --enforcer go on to smartfw-node.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/lib.sh
. "$root/deploy/lib.sh"

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }

guard() {
  local keep='' arguments=() run="$root/run" enforcer=()
  while [ $# -gt 0 ]; do
    case $1 in
      --keep) keep=yes ;;
      *) arguments+=("$1") ;;
    esac
    shift
  done

  local problem
  install_packages build-essential iptables ipset iproute2 || true
  require_rust "$root"
  build_programs "$root"

  problem=$(firewall_problem)
  if [ -n "$problem" ]; then
    warn "$problem: enforcement is a dry run"
    enforcer=(--enforcer dry-run)
  fi
  [ -n "$keep" ] || arguments+=(--remove-on-exit)
  mkdir -p "$run/state" "$run/log"
  say "state and logs: $run"
  say "look at it with: $programs/smartfw-cli --socket $run/node.sock --state-dir $run/state status"
  exec "$programs/smartfw-node" --config "$run/node.toml" --state-dir "$run/state" --log-dir "$run/log" \
    --socket "$run/node.sock" ${enforcer[@]+"${enforcer[@]}"} ${arguments[@]+"${arguments[@]}"}
}

case ${1:-} in
  demo)
    shift
    exec "$root/deploy/demo.sh" "$@"
    ;;
  -h | --help)
    usage
    ;;
  *)
    mkdir -p "$root/run"
    [ -e "$root/run/node.toml" ] || : >"$root/run/node.toml"
    guard "$@"
    ;;
esac
