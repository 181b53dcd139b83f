#!/usr/bin/env bash
# Builds an image archive from Debian packages, without a container engine:
#   debian-image.sh OUTPUT.tar NAME:TAG OVERLAY-FOLDER PACKAGE... -- MKIMAGE-FLAGS...
# The packages and all they depend on are unpacked (no install scripts run),
# then OVERLAY-FOLDER, if there is one, is copied over them. An archive that was built of the same
# is kept; remove it to get the packages of today.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1") name=$2 overlay=$(realpath -m "$3")
made_of=$({
	cat "$0"
	shift 3
	printf '%s\n' "$name" "$@"
	[ ! -d "$overlay" ] || (cd "$overlay" && find . -type f -printf '%m ' -exec sha256sum {} \; | sort -k3)
} | sha256sum)
if [ -e "$out" ] && [ "$made_of" = "$(cat "$out.made-of" 2>/dev/null)" ]; then exit; fi
shift 3
packages=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do packages+=("$1"); shift; done
[ $# -gt 0 ] && shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/debs/partial" "$work/root" "$(dirname "$out")"
: >"$work/status" # nothing is installed, so every dependency is there
needed() {
	apt-get -qq -y --no-install-recommends --print-uris \
		-o Dir::State::Status="$work/status" -o Debug::NoLocking=1 install "${packages[@]}" >"$work/uris" 2>"$work/log"
}
# What only the install scripts need, which are not run.
scripts='adduser|passwd|login|c?debconf.*|libdebconfclient0|dpkg|init-system-helpers|perl.*|libperl.*|systemd.*|libsystemd-shared|lsb-base|sysvinit-utils|ucf|sensible-utils'
fetch() {
	needed || return
	awk '{ sub(/_.*/, "", $2); print $2 }' "$work/uris" | grep -vxE "$scripts" |
		(cd "$work/debs" && xargs apt-get -qq -o APT::Sandbox::User=root download) >>"$work/log" 2>&1
}
fetch || { apt-get update -qq && fetch; } || { cat "$work/log" >&2; exit 1; }
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
rm -rf "$work/root/usr/share/"{doc,man,locale,info,lintian} "$work/root/var/cache/"*
mkdir -p "$work/root/"{tmp,proc,sys,dev,run,etc}
chmod 1777 "$work/root/tmp"
cat >"$work/root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
PASSWD
cat >"$work/root/etc/group" <<'GROUP'
root:x:0:
adm:x:4:
www-data:x:33:
nogroup:x:65534:
GROUP
[ ! -d "$overlay" ] || cp -a "$overlay/." "$work/root/"
chown -R root:root "$work/root/etc"
(cd "$here/../bundle" && CGO_ENABLED=0 go build -o "$work/mkimage" ./mkimage)
"$work/mkimage" -o "$out" -name "$name" -rootfs "$work/root" "$@"
echo "$made_of" >"$out.made-of"
echo "built $out ($name)"
