#!/usr/bin/env bash
# Runs the tests of SmartFW and says how long each suite took.
#
#   tests/run.sh          all that this machine can run; as root also in network namespaces
#   tests/run.sh --quick  without what needs root
#   tests/run.sh --long   also every attack variant but the slowest scans, a real systemd, ten million events, more
#                         random cases, the benches and the seeded bugs; writes docs/reports/, ended early as well
#
# What cannot run is listed as skipped, with the reason. Exit code: 0 all passed, 1 something failed, 2 wrong usage.
set -u
cd "$(dirname "$0")/.." || exit 1

mode=default
case "${1:-}" in
  "") ;;
  --quick | --long) mode=${1#--} ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

target=${CARGO_TARGET_DIR:-$PWD/target}
logs=$target/test-logs
mkdir -p "$logs"
results=$logs/results
: >"$results"
skipped=()
complete=no

# suite NAME COMMAND...: runs it, keeps its output, and notes its seconds.
suite() {
  local name=$1 begin=$SECONDS state=ok line
  shift
  "$@" >"$logs/$name.log" 2>&1 || state=FAILED
  line=$(printf '%-20s %5s s  %s' "$name" $((SECONDS - begin)) $state)
  printf '%s\n' "$line" >>"$results"
  [ $state = ok ] || line+=$'\n'$(causes "$logs/$name.log" | sed 's/^/    /')
  printf '%s\n' "$line"
}
# The names of the suites that ended so.
ended() { sed -n "s/ .* $1\$//p" "$results"; }

# What a failed suite's log says of the cause: each panic with what surrounds it, and the end.
causes() {
  grep -n -B 3 -A 12 'panicked at' "$1" | head -n 150
  echo '[...]'
  tail -n 40 "$1"
}

skip() {
  skipped+=("$1: $2")
  printf '%-20s %8s  skipped: %s\n' "$1" '' "$2"
}

# The tools of the laboratory, as program:package.
tools="ip:iproute2 iptables:iptables ipset:ipset nft:nftables conntrack:conntrack tcpdump:tcpdump nmap:nmap hydra:hydra
  hping3:hping3 slowhttptest:slowhttptest nginx:nginx vsftpd:vsftpd dnsmasq:dnsmasq-base sshd:openssh-server
  ssh:openssh-client sshpass:sshpass curl:curl ab:apache2-utils wrk:wrk ping:iputils-ping traceroute:traceroute
  rsync:rsync ncrack:ncrack nping:nmap nc:netcat-openbsd hey:hey masscan:masscan medusa:medusa patator:patator
  siege:siege httperf:httperf mausezahn:netsniff-ng t50:t50 ethtool:ethtool h2load:nghttp2-client promtool:prometheus redis-server:redis-server
  crowdsec-firewall-bouncer:crowdsec-firewall-bouncer faketime:faketime openssl:openssl setpriv:util-linux python3:python3"
[ "$mode" = long ] && tools+=" debootstrap:debootstrap systemd-nspawn:systemd-container"
missing_packages() {
  local pair
  for pair in $tools; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || printf '%s ' "${pair##*:}"
  done
}

# Installs what is missing. Services must not start on this machine, now or at the next boot: the tests run their own
# in namespaces.
install_tools() {
  local packages package policy=/usr/sbin/policy-rc.d ours=no
  packages=$(missing_packages)
  [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && ours=yes
  fi
  # shellcheck disable=SC2086 # a list of words
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages; } \
    >"$logs/apt.log" 2>&1
  [ $ours = no ] || rm -f $policy
  for package in $packages; do
    case $package in
      nginx | vsftpd) systemctl disable "$package" >/dev/null 2>&1 ;;
      prometheus | redis-server | crowdsec-firewall-bouncer) systemctl disable "$package" >/dev/null 2>&1 ;;
      openssh-server) systemctl disable ssh >/dev/null 2>&1 ;;
    esac
  done
}

# Why the tests in namespaces cannot run here; nothing when they can.
why_no_namespaces() {
  [ "$mode" = quick ] && { echo "left out by --quick"; return; }
  [ "$(id -u)" = 0 ] || { echo "needs root"; return; }
  local lacking name=sfw-probe-$$
  lacking=$(missing_packages)
  [ -z "$lacking" ] || { echo "not installed: $lacking"; return; }
  if ! ip netns add "$name" 2>/dev/null; then echo "this kernel or container allows no network namespaces"; return; fi
  if ! ip netns exec "$name" ipset create probe hash:net 2>/dev/null; then
    echo "no ipset in this kernel"
  elif ! ip netns exec "$name" iptables -t raw -A PREROUTING -m set --match-set probe src -j DROP 2>/dev/null; then
    echo "no iptables with sets in this kernel"
  fi
  ip netns del "$name"
}

# What runs beside this script, each with all that it begins: it ends with the script, however that ends.
declare -A beside=()
at_exit() {
  local job
  for job in "${!beside[@]}"; do kill -- "-$job" 2>/dev/null; done
  if [ "$mode" = long ] && [ -s "$results" ]; then report; fi
}
trap at_exit EXIT
# begin_beside COMMAND...: `$!` is its number, and that of its group.
begin_beside() {
  set -m
  "$@" &
  set +m
  beside[$!]=1
}
# Waits until it ends; its exit code.
end_beside() {
  local state=0
  wait "$1" || state=$?
  unset "beside[$1]"
  return $state
}

# The lints need a build of their own, and most suites wait most of their time: so the lints have what these leave over
# of the machine, in a folder of their own, since two builds in one folder wait for each other.
lints_job=
lint_beside() {
  if ! cargo clippy --version >/dev/null 2>&1; then skip lints "clippy is not installed"; return; fi
  local idle=(nice -n 19)
  command -v chrt >/dev/null && idle=(chrt -i 0 nice -n 19)
  CARGO_TARGET_DIR=$target/lints begin_beside "${idle[@]}" cargo clippy -q --workspace --all-targets -- -D warnings \
    >"$logs/clippy.log" 2>&1
  lints_job=$!
}
lints_done() {
  [ -n "$lints_job" ] || return 0
  suite lints lints_result
  lints_job=
}
lints_result() {
  local state=0
  end_beside "$lints_job" || state=$?
  cat "$logs/clippy.log"
  return $state
}

# Three at once: most of their time they wait. The last takes in ten thousand events a second for a minute.
unit() {
  local jobs=() job seconds=60 failed=0
  [ "$mode" = long ] && seconds=600
  begin_beside cargo test -q --workspace --no-fail-fast --lib --bins
  jobs+=($!)
  begin_beside cargo test -q --workspace --no-fail-fast --test '*'
  jobs+=($!)
  if [ "$mode" != quick ]; then
    SMARTFW_SECONDS=$seconds begin_beside cargo test -q --workspace --lib ten_thousand_events -- --ignored --nocapture
    jobs+=($!)
  fi
  for job in "${jobs[@]}"; do end_beside "$job" || failed=1; done
  cargo test -q --workspace --doc && [ $failed = 0 ]
}

bare_target=thumbv7em-none-eabi
has_bare_target() {
  [ -d "$(rustc --print sysroot)/lib/rustlib/$bare_target" ] ||
    { command -v rustup >/dev/null && rustup target add $bare_target >/dev/null 2>&1; }
}

# The test programs that need namespaces, of which most mostly wait: so two rows of them run beside each other. Then those
# that measure, each with the machine for itself.
first="laboratory scenarios lasting refusals coordinator cluster two_clusters hostile"
second="fleet_orders fleet_together fleet_trouble fleet coordinator_trouble"
measuring="fleet_spread"
# They run what `build-tests` has built, of the whole workspace: to name one package would choose other features of the
# dependencies and build these again.
test_programs() {
  local name threads
  for name; do
    case $name in fleet_spread) threads=1 ;; fleet*) threads=3 ;; coordinator_trouble) threads=5 ;; *) threads=2 ;; esac
    suite "$name" cargo test --workspace --test "$name" -- --ignored --test-threads=$threads --nocapture
  done
}
in_namespaces() {
  local row
  # shellcheck disable=SC2086 # lists of words
  begin_beside test_programs $second
  row=$!
  # shellcheck disable=SC2086
  test_programs $first
  end_beside $row || suite row-beside false
  lints_done
  test_programs "$measuring"
  if [ "$mode" = long ]; then
    suite live "$target/debug/live" --all
    suite live-unseen "$target/debug/live" --unseen
    suite live-plain "$target/debug/live" --plain
    suite live-load "$target/debug/live" --load 1800
  else
    suite live "$target/debug/live"
    suite live-load "$target/debug/live" --load 180
  fi
  cat "$logs/live.log"
  [ "$mode" = long ] || return 0
  suite systemd tests/systemd.sh
}

# Needs scikit-learn, which the program installs for itself where it can.
scikit_learn() {
  if python3 -c 'import sklearn' 2>/dev/null || python3 -c 'import ensurepip, venv' 2>/dev/null; then
    suite scikit-learn tests/learning/compare.py --seeds 3 tests/lab/windows.csv.gz
  else
    skip scikit-learn "python3 has neither scikit-learn nor pip and venv (python3-venv)"
  fi
}

# told SUITE TITLE: what it printed, as a section of the report, where it ended.
told() {
  grep -q "^$1 " "$results" && [ -s "$logs/$1.log" ] && printf '\n## %s\n\n```\n%s\n```\n' "$2" "$(grep -v '^warning' "$logs/$1.log" | sed "s|$PWD/||g")"
}

report() {
  local file
  mkdir -p docs/reports
  file=docs/reports/$(date -u +%Y-%m-%d)-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
  # One of all suites is never lost to one that was ended.
  [ $complete = yes ] && file+=.md || file+=-ended-early.md
  {
    echo "# Tests of $(date -u +%Y-%m-%dT%H:%MZ), commit $(git rev-parse HEAD 2>/dev/null || echo unknown)"
    printf '\n```\n'
    cat "$results"
    [ $complete = yes ] || echo 'It was ended before the suites that would follow.'
    [ ${#skipped[@]} = 0 ] || printf 'skipped: %s\n' "${skipped[@]}"
    printf '```\n'
    told history-10m "Ten million events in the history"
    told live "Attack variants"
    told live-unseen "Attacks with tools that no training set holds"
    told live-plain "Attack variants without segmentation and receive offloads"
    told live-load "Half an hour of everyday clients"
    told captures "Other people's captures"
    told unseen "Each tool left out of training in turn"
    told scikit-learn "Beside scikit-learn, on the same folds"
    told benches "Benches"
    told mutations "Seeded bugs"
  } >"$file"
  echo "report: $file"
}

command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
[ "$mode" = quick ] || install_tools
no_namespaces=$(why_no_namespaces)
[ "$mode" = long ] && export PROPTEST_CASES=20000 SMARTFW_LONG=1 SMARTFW_SEEDS=10000

if cargo fmt --version >/dev/null 2>&1; then suite format cargo fmt --all --check; else skip format "rustfmt is not installed"; fi
# What these need is looked for by the tests themselves, which pass without having run where it is missing.
if command -v redis-server >/dev/null; then export SMARTFW_REDIS=1; else skip redis "redis-server is not installed"; fi
if ! { [ "$(id -u)" = 0 ] && command -v ip && command -v ipset && command -v iptables; } >/dev/null; then
  skip node-daemon "needs root, ip, ipset and iptables"
fi
suite build-tests cargo test -q --workspace --no-run
lint_beside
if ended FAILED | grep -qx build-tests; then no_namespaces="build-tests failed"; fi
suite unit unit
[ -n "${SMARTFW_DATA:-}" ] || skip captures "SMARTFW_DATA names no folder with labelled captures"
if [ "$mode" = long ]; then
  suite unseen cargo test -q --workspace --test unseen -- --nocapture
  [ -z "${SMARTFW_DATA:-}" ] || suite captures cargo test -q --workspace --test captures -- --nocapture
fi
# `build-tests` has built it: two gigabytes on disk for some minutes.
[ "$mode" = long ] && suite history-10m "$target/debug/examples/size" 10
if command -v promtool >/dev/null; then suite monitoring tests/monitoring.sh; else skip monitoring "promtool is not installed"; fi
if [ "$mode" = long ]; then
  if python3 -c 'import ensurepip, venv' 2>/dev/null; then
    suite schemathesis tests/schemathesis.sh
  else
    skip schemathesis "python3 has no pip or venv (python3-venv)"
  fi
fi
if has_bare_target; then
  suite bare cargo build -q -p smartfw-core --target $bare_target
else
  skip bare "the target $bare_target cannot be installed"
fi
if [ -z "$no_namespaces" ]; then
  export SMARTFW_BIN=$target/debug
  if [ "$mode" = long ]; then
    suite build cargo build -q --release -p smartfw-node -p smartfw-cli -p smartfw-coordinator
    SMARTFW_BIN=$target/release
  fi
  in_namespaces
else
  for name in $first $second $measuring live live-load; do skip "$name" "$no_namespaces"; done
fi
[ "$mode" = long ] && scikit_learn
lints_done
if [ "$mode" = long ]; then
  suite benches cargo bench -q -p smartfw-tests
  # The longest of all, and the others do not need it.
  suite mutations tests/mutations/run
  complete=yes
fi

printf '\n%s passed, %s failed, %s skipped in %s s; logs in %s\n' \
  "$(ended ok | wc -l)" "$(ended FAILED | wc -l)" ${#skipped[@]} "$SECONDS" "$logs"
[ ${#skipped[@]} = 0 ] || printf 'skipped  %s\n' "${skipped[@]}"
[ -z "$(ended FAILED)" ] || { ended FAILED | sed 's/^/FAILED  /'; exit 1; }
