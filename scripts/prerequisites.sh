# Sourced: finds what is missing and installs it, or says the one line that does.

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo "$@"
  else return 1
  fi
}

# A compiler without the C library's headers and start files links nothing.
C_COMPILER=(cc:gcc /usr/include/stdio.h:libc6-dev)

# Says nothing but what went wrong.
install_packages() {
  local log
  log=$(mktemp)
  {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  } >"$log" 2>&1 && { rm -f "$log"; return 0; }
  cat "$log" >&2
  rm -f "$log"
  return 1
}

is_there() {
  case "$1" in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# require_commands WHY command:package …; instead of a command, the path of a file
require_commands() {
  local why=$1 missing=() pair
  shift
  for pair in "$@"; do
    is_there "${pair%%:*}" || missing+=("${pair#*:}")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  if command -v apt-get >/dev/null && as_root true; then
    echo "installing what is missing $why: ${missing[*]}" >&2
    install_packages "${missing[@]}" && return 0
  fi
  echo "missing $why: ${missing[*]}; this installs it:" >&2
  echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
  return 1
}

require_rust() {
  command -v cargo >/dev/null || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH=$HOME/.cargo/bin:$PATH
  command -v cargo >/dev/null && return 0
  echo "a Rust toolchain (1.92 or later) is needed; see https://rustup.rs" >&2
  return 1
}
