#!/usr/bin/env bash
# Builds the image of the shop, without a registry or a container engine:
#   build.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${1:-$here/../../bin/images}")/shop.tar
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$(dirname "$out")"
export CGO_ENABLED=0
go -C "$here" build -ldflags "-s -w" -o "$work/shop" ./app
go -C "$here/../../bundle" build -o "$work/mkimage" ./mkimage
"$work/mkimage" -o "$out" -name berth.dev/shop:1 -entrypoint /shop -user 65532:65532 -port 8080/tcp -add "$work/shop:/shop"
echo "built $out (berth.dev/shop:1)"
