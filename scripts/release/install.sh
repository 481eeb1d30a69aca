#!/bin/sh
# Installs sockpipe: downloads the archive for this system, verifies its
# checksum, and puts the program, the man page and the completions in place. What
# was there before stays until then. On Linux it takes glibc 2.27 or newer, and
# so not musl (Alpine).
#
#   PREFIX             install to $PREFIX/bin and $PREFIX/share; default: ~/.local
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

# The name of this system in a release.
target_name() {
  system="$(uname -s) $(uname -m)"
  case $system in
    'Linux x86_64' | 'Linux amd64') echo x86_64-unknown-linux-gnu ;;
    'Linux aarch64' | 'Linux arm64') echo aarch64-unknown-linux-gnu ;;
    'Darwin x86_64') echo x86_64-apple-darwin ;;
    'Darwin arm64') echo aarch64-apple-darwin ;;
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

# unpack ARCHIVE FOLDER
unpack() {
  case $1 in
    *.zst) zstd -q -dc "$1" ;;
    *) gzip -dc "$1" ;;
  esac | tar -x -f - -C "$2" || fail "Cannot unpack \"$1\""
}

# place FILE AS; what only helps does not stop the installation
place() {
  if mkdir -p "${2%/*}" && cp "$1" "$2.new" && mv -f "$2.new" "$2"; then return; fi
  echo "install.sh: \"$2\" is left out" >&2
}

main() {
  prefix=${PREFIX:-${HOME:?HOME is not set}/.local}
  bin=$prefix/bin
  name=sockpipe-$(target_name)
  archive=$name.tar.gz
  if has zstd; then archive=$name.tar.zst; fi
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
  download "$url/$archive" "$new/$archive"
  verify "$new/$archive" "$archive" "$new/SHA256SUMS"
  unpack "$new/$archive" "$new"
  version=$("$new/$name/sockpipe" --version) ||
    fail "Cannot install \"$name\": it does not run on this system (Linux needs glibc 2.27, so not musl)"
  mv -f "$new/$name/sockpipe" "$bin/sockpipe"
  from=$new/$name
  share=$prefix/share
  place "$from/sockpipe.1" "$share/man/man1/sockpipe.1"
  place "$from/completions/sockpipe.bash" "$share/bash-completion/completions/sockpipe"
  place "$from/completions/_sockpipe" "$share/zsh/site-functions/_sockpipe"
  place "$from/completions/sockpipe.fish" "$share/fish/vendor_completions.d/sockpipe.fish"

  echo "$version is now $bin/sockpipe"
  case :$PATH: in
    *":$bin:"*) ;;
    *) echo "$bin is not in your PATH; to add it: export PATH=\"$bin:\$PATH\"" ;;
  esac
}

# Called last, so that half a script from a broken download does nothing.
main "$@"
