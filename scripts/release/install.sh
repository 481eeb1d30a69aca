#!/bin/sh
# Installs sockpipe: downloads the program for this system, verifies its
# checksum, and puts it in place. What was there before stays until then.
#
#   PREFIX             install to $PREFIX/bin; default: ~/.local
#   SOCKPIPE_VERSION   a release such as v0.1.0; default: the latest
#   SOCKPIPE_BASE_URL  a folder with the files of a release, such as a mirror's,
#                      instead of SOCKPIPE_VERSION; https://, or http:// where
#                      you trust the way there

set -eu

# Where the releases are; the release workflow fills it in.
releases=

fail() {
  printf 'install.sh: %s\n' "$1" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# The name of this system's program in a release.
program_name() {
  system="$(uname -s) $(uname -m)"
  case $system in
    'Linux x86_64' | 'Linux amd64') echo sockpipe-x86_64-unknown-linux-gnu ;;
    'Linux aarch64' | 'Linux arm64') echo sockpipe-aarch64-unknown-linux-gnu ;;
    'Darwin x86_64') echo sockpipe-x86_64-apple-darwin ;;
    'Darwin arm64') echo sockpipe-aarch64-apple-darwin ;;
    *) fail "Cannot install on \"$system\": there is no program for it" ;;
  esac
}

base_url() {
  if [ -n "${SOCKPIPE_BASE_URL:-}" ]; then
    echo "${SOCKPIPE_BASE_URL%/}"
  elif [ -z "$releases" ]; then
    fail 'Cannot tell where the releases are: set SOCKPIPE_BASE_URL'
  elif [ -n "${SOCKPIPE_VERSION:-}" ]; then
    echo "$releases/download/$SOCKPIPE_VERSION"
  else
    echo "$releases/latest/download"
  fi
}

# download URL FILE
download() {
  case $1 in
    https://*) protocols='=https' ;;
    http://*) protocols='=http,https' ;;
    *) fail "Cannot download \"$1\": neither https:// nor http://" ;;
  esac
  if has curl; then
    curl --proto "$protocols" -fsSL --retry 2 -o "$2" "$1" ||
      fail "Cannot download \"$1\": curl says why above"
  elif has wget; then
    wget -nv -O "$2" "$1" ||
      fail "Cannot download \"$1\": wget says why above"
  else
    fail "Cannot download \"$1\": neither curl nor wget is installed"
  fi
}

# sha256 FILE
sha256() {
  if has sha256sum; then
    sha256sum <"$1"
  elif has shasum; then
    shasum -a 256 <"$1"
  else
    fail "Cannot verify \"$1\": neither sha256sum nor shasum is installed"
  fi
}

# verify FILE NAME SUMS
verify() {
  expected=$(awk -v name="$2" '$2 == name { print $1 }' "$3")
  [ -n "$expected" ] || fail "Cannot verify \"$2\": SHA256SUMS does not name it"
  actual=$(sha256 "$1")
  actual=${actual%% *}
  [ "$actual" = "$expected" ] ||
    fail "Cannot install \"$2\": its SHA-256 is $actual and not $expected"
}

main() {
  bin=${PREFIX:-${HOME:?HOME is not set}/.local}/bin
  name=$(program_name)
  url=$(base_url)
  mkdir -p "$bin" || fail "Cannot install to \"$bin\": it cannot be made"
  # In the same folder, so that the last step is a rename.
  new=$bin/.sockpipe.$$
  mkdir -m 700 "$new" || fail "Cannot install to \"$bin\": it cannot be written"
  trap 'rm -rf "$new"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP

  download "$url/SHA256SUMS" "$new/SHA256SUMS"
  download "$url/$name" "$new/sockpipe"
  verify "$new/sockpipe" "$name" "$new/SHA256SUMS"
  chmod 755 "$new/sockpipe"
  version=$("$new/sockpipe" --version) ||
    fail "Cannot install \"$name\": it does not run on this system"
  mv -f "$new/sockpipe" "$bin/sockpipe"

  echo "$version is now $bin/sockpipe"
  case :$PATH: in
    *":$bin:"*) ;;
    *) echo "$bin is not in your PATH; to add it: export PATH=\"$bin:\$PATH\"" ;;
  esac
}

# Called last, so that half a script from a broken download does nothing.
main "$@"
