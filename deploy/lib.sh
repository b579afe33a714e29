# What the scripts in this folder share. Sourced, never run.

say()  { printf '%s\n' "$*"; }
warn() { printf 'smartfw: %s\n' "$*" >&2; }
die()  { warn "$*"; exit 1; }

is_root() { [ "$(id -u)" = 0 ]; }

# install_packages PACKAGE…: through apt where there is apt and the right to use it.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! is_root || ! command -v apt-get >/dev/null; then
    warn "not installed: ${missing[*]}; install them with: apt-get install ${missing[*]}"
    return 1
  fi
  say "installing ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# require_rust ROOT: a toolchain that is at least the workspace's rust-version; how to run it is left in $cargo. Under
# sudo it is usually the caller's, and they build, so that nothing in the checkout and in their home becomes root's.
require_rust() {
  local wanted found='' newest='' home
  wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$1/Cargo.toml" | head -n 1)
  if is_root && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
    home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
    if as_caller test -w "$1" && { [ ! -e "$1/target" ] || as_caller test -w "$1/target"; }; then
      cargo=(as_caller env "HOME=$home" "PATH=$home/.cargo/bin:$PATH" cargo)
      new_enough "$wanted" && return 0
    fi
    cargo=(env "RUSTUP_HOME=$home/.rustup" "PATH=$home/.cargo/bin:$PATH" cargo)
    new_enough "$wanted" && return 0
  fi
  cargo=(cargo)
  new_enough "$wanted" && return 0
  [ -n "$newest" ] || die "Rust is missing. Install Rust $wanted or newer from https://rustup.rs and run this again."
  die "Rust $newest is too old: $wanted or newer is needed. Run: rustup update stable"
}

as_caller() { runuser -u "$SUDO_USER" -- "$@"; }

# new_enough WANTED: whether $cargo is; its version is left in $found, the best so far in $newest.
new_enough() {
  found=$("${cargo[@]}" --version 2>/dev/null | awk '{print $2}') || found=''
  [ -n "$found" ] || return 1
  newest=$(printf '%s\n%s\n' "$newest" "$found" | sort -V | tail -n 1)
  [ "$(printf '%s\n%s\n' "$1" "$found" | sort -V | head -n 1)" = "$1" ]
}

# build_programs ROOT: the release programs; their folder is left in $programs.
build_programs() {
  say "building SmartFW (the first time takes some minutes)"
  "${cargo[@]}" build --quiet --release --locked --manifest-path "$1/Cargo.toml" -p smartfw-node -p smartfw-cli -p smartfw-coordinator
  programs=$(cd "${CARGO_TARGET_DIR:-$1/target}/release" && pwd)
}

# firewall_problem: why this process cannot change netfilter in its network namespace; nothing when it can.
firewall_problem() {
  local rights
  rights=$(awk '/^CapEff:/ { print $2 }' /proc/self/status)
  if (( (16#$rights >> 12 & 1) == 0 )); then
    say "this process may not change the firewall (it lacks CAP_NET_ADMIN)"
  elif ! command -v iptables >/dev/null; then
    say "iptables is not installed"
  elif ! iptables -w 5 -t raw -S PREROUTING >/dev/null 2>&1; then
    say "iptables does not work here ($(iptables -w 5 -t raw -S PREROUTING 2>&1 | head -n 1))"
  fi
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
  local tries=$(( $1 * 10 ))
  shift
  while ! "$@" >/dev/null 2>&1; do
    tries=$(( tries - 1 ))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.1
  done
}
