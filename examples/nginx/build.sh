#!/usr/bin/env bash
# Builds the image that nginx.yaml names from Debian's nginx, without a registry:
#   build.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../bin/images}
"$here/../debian-image.sh" "$out/nginx.tar" registry.k8s.io/nginx-slim:0.24 "$here/rootfs" \
	nginx-light dash coreutils hostname curl -- -entrypoint nginx -cmd -g -cmd "daemon off;" -port 80/tcp
