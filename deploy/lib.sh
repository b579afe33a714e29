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

# require_rust ROOT: a toolchain that is at least the workspace's rust-version.
require_rust() {
  local wanted found
  # Under sudo the toolchain is usually the caller's.
  if ! command -v cargo >/dev/null && [ -n "${SUDO_USER:-}" ]; then
    PATH="$(getent passwd "$SUDO_USER" | cut -d: -f6)/.cargo/bin:$PATH"
  fi
  wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$1/Cargo.toml" | head -n 1)
  command -v cargo >/dev/null || die "Rust is missing. Install Rust $wanted or newer from https://rustup.rs and run this again."
  found=$(cargo --version | awk '{print $2}')
  [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
    die "Rust $found is too old: $wanted or newer is needed. Run: rustup update stable"
}

# build_programs ROOT: the release programs; their folder is left in $programs.
build_programs() {
  say "building SmartFW (the first time takes some minutes)"
  cargo build --quiet --release --locked --manifest-path "$1/Cargo.toml" -p smartfw-node -p smartfw-cli
  programs="${CARGO_TARGET_DIR:-$1/target}/release"
}

# can_change_firewall: whether this process may change netfilter in its network namespace.
can_change_firewall() {
  command -v iptables >/dev/null && iptables -w 5 -t raw -S PREROUTING >/dev/null 2>&1
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
