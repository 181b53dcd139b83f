#!/usr/bin/env bash
# Builds the image that the manifests name from Debian's etcd, without a registry:
#   build.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../bin/images}
"$here/../debian-image.sh" "$out/etcd.tar" quay.io/coreos/etcd:v3.2.16 "$here/rootfs" \
	etcd-server etcd-client dash coreutils hostname curl -- -entrypoint etcd -port 2379/tcp -port 2380/tcp
