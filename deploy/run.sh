#!/usr/bin/env bash
# Tries SmartFW out from a source checkout, without installing it.
#
#   sudo deploy/run.sh [--keep] [node arguments…]   guard this host until Ctrl-C, which takes the rules away again;
#                                                   a coordinator beside the node serves the API on loopback
#   sudo deploy/run.sh demo                         watch a fleet of three drop an attack, inside network namespaces only
#
# State and logs go to ./run/. Arguments such as --interface and --enforcer go on to smartfw-node.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/lib.sh
. "$root/deploy/lib.sh"

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }

guard() {
  local keep='' arguments=() enforcer=()
  listen=127.0.0.1:7470
  run="$root/run"
  while [ $# -gt 0 ]; do
    case $1 in
      --keep) keep=yes ;;
      --listen) listen=$2 && shift ;;
      --listen=*) listen=${1#*=} ;;
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
  trap stop EXIT
  trap 'exit 0' INT TERM
  "$programs/smartfw-node" --config "$run/node.toml" --state-dir "$run/state" --log-dir "$run/log" \
    --socket "$run/node.sock" ${enforcer[@]+"${enforcer[@]}"} --listen "$listen" \
    ${arguments[@]+"${arguments[@]}"} &
  node=$!
  coordinate || warn "there is no coordinator: the node guards all the same"
  wait "$node"
}

# Both end when this script does, and it ends when they have.
stop() {
  local process
  for process in ${coordinator:-} ${node:-}; do kill "$process" 2>/dev/null || true; done
  for process in ${coordinator:-} ${node:-}; do wait "$process" || true; done
}

# A cluster of this one node, so that a coordinator can be a member of it.
coordinate() {
  local token command=("$programs/smartfw-coordinator" --config "$run/coordinator.toml" --state-dir "$run/state"
    --log-dir "$run/log")
  wait_for 30 answers_or_ended && kill -0 "$node" 2>/dev/null || return 1
  if [ ! -d "$run/state/identity" ]; then
    control cluster init --name trial --advertise "$listen" --operator trial --no-passphrase \
      --root-file "$run/root.pem" >"$run/log/init" || return 1
  fi
  if [ ! -d "$run/state/coordinator/identity" ]; then
    token=$(control cluster token --role coordinator -o raw) || return 1
    "${command[@]}" join "$listen" --token "$token" --name coordinator || return 1
  fi
  "${command[@]}" --listen 127.0.0.1:7471 &
  coordinator=$!
  ! wait_for 30 test -e "$run/state/coordinator/web/certificate.pem" || tell_how_to_ask
}

tell_how_to_ask() {
  local ask="curl --cacert $run/state/coordinator/web/certificate.pem" api=https://127.0.0.1:7480/api/v1
  say "log in to the coordinator: $ask -c $run/state/session -H 'Content-Type: application/json' \\"
  say "    -d '{\"name\":\"admin\",\"password\":\"PASSWORD\"}' $api/login"
  say "and see what it answers: $ask -b $run/state/session $api/openapi.json"
}

answers_or_ended() {
  ! kill -0 "$node" 2>/dev/null || control status -o raw
}

# The operator's key is where the coordinator looks for it: what people order by the API is signed with it.
control() {
  SMARTFW_OPERATOR_DIR="$run/state/coordinator/operator" \
    SMARTFW_ROOT_PASSPHRASE="${SMARTFW_ROOT_PASSPHRASE:-a trial on this host alone}" \
    "$programs/smartfw-cli" --socket "$run/node.sock" --state-dir "$run/state" "$@"
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
    for file in node coordinator; do
      [ -e "$root/run/$file.toml" ] || : >"$root/run/$file.toml"
    done
    guard "$@"
    ;;
esac
