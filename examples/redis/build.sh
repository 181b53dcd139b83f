#!/usr/bin/env bash
# Builds the image that the manifest names from Debian's Redis, without a registry:
#   build.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../bin/images}
"$here/../debian-image.sh" "$out/redis.tar" redis:7.0 "$here/rootfs" \
	redis-server redis-tools dash coreutils -- -entrypoint redis-server -port 6379/tcp
