#!/usr/bin/env bash
# Builds an image archive from Debian packages, without a container engine:
#   debian-image.sh OUTPUT.tar NAME:TAG OVERLAY-FOLDER PACKAGE... -- MKIMAGE-FLAGS...
# The packages and all they depend on are unpacked (no install scripts run),
# then OVERLAY-FOLDER is copied over them.
set -euo pipefail
out=$(realpath -m "$1") name=$2 overlay=$(realpath "$3")
shift 3
packages=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do packages+=("$1"); shift; done
[ $# -gt 0 ] && shift
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/debs/partial" "$work/root" "$(dirname "$out")"
: >"$work/status" # nothing is installed, so every dependency is fetched
fetch() {
	apt-get -qq -y --no-install-recommends --download-only \
		-o Dir::State::Status="$work/status" -o Dir::Cache::Archives="$work/debs" \
		-o APT::Sandbox::User=root -o Debug::NoLocking=1 install "${packages[@]}" >"$work/log" 2>&1
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
cp -a "$overlay/." "$work/root/"
chown -R root:root "$work/root/etc"
(cd "$here/../bundle" && CGO_ENABLED=0 go build -o "$work/mkimage" ./mkimage)
"$work/mkimage" -o "$out" -name "$name" -rootfs "$work/root" "$@"
echo "built $out ($name)"
