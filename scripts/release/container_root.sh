#!/bin/sh
# Makes the whole file system of a container out of a Debian that has the
# packages libc6, libgcc-s1 and ca-certificates: the executable, the libraries
# that it loads, the system's CAs, a user without rights. There is no shell in it.
#
#   container_root.sh EXECUTABLE FOLDER

set -eu

executable=$1
root=$2

# copy FILE: it and what it points to, at the same place
copy() {
  mkdir -p "$root${1%/*}"
  cp -L "$1" "$root$1"
}

mkdir -p "$root/usr/bin" "$root/etc" "$root/tmp"
chmod 1777 "$root/tmp"
cp "$executable" "$root/usr/bin/sockpipe"
chmod 755 "$root/usr/bin/sockpipe"

# "name => /path (0x…)", and the loader as "/path (0x…)".
ldd "$executable" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' |
  while read -r library; do copy "$library"; done

copy /etc/ssl/certs/ca-certificates.crt
echo 'nonroot:x:65532:65532::/tmp:/sbin/nologin' >"$root/etc/passwd"
echo 'nonroot:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
