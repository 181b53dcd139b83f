#!/usr/bin/env bash
# Installs the Debian packages that building and running Berth need and this
# machine lacks. Prints nothing when all are there.
set -euo pipefail
# A bare container root has no /etc/hosts; the container runtime copies it into pods.
[ -e /etc/hosts ] || printf '127.0.0.1 localhost\n::1 localhost\n' >/etc/hosts
packages=()
need() { # need COMMAND-OR-FILE PACKAGE
	if [[ $1 == /* ]]; then [ -e "$1" ] || packages+=("$2"); else command -v "$1" >/dev/null || packages+=("$2"); fi
}
need gcc gcc
need pkg-config pkg-config
need mount mount
need mkfs.ext4 e2fsprogs
need mkfs.btrfs btrfs-progs
need git git
need curl curl
need /usr/bin/kill procps
pkg-config --exists libseccomp 2>/dev/null || packages+=(libseccomp-dev)
[ -e /usr/include/stdio.h ] || packages+=(libc6-dev)
[ ${#packages[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ]; then
	echo "missing Debian packages: ${packages[*]}; install them, or run this as root" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null; then
	echo "this machine is no Debian; install the equivalents of: ${packages[*]}" >&2
	exit 1
fi
echo "installing ${packages[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
