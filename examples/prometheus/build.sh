#!/usr/bin/env bash
# Builds the image that the manifest names from Debian's Prometheus, without a registry:
#   build.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../bin/images}
"$here/../debian-image.sh" "$out/prometheus.tar" prom/prometheus:v2.42.0 "$here/rootfs" \
	prometheus dash coreutils curl grep sed -- -entrypoint prometheus -port 9090/tcp
