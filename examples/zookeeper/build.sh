#!/usr/bin/env bash
# Builds the image that the manifest names from Debian's ZooKeeper, without a registry:
#   build.sh [FOLDER]
# Debian's package zookeeper asks for a whole desktop's Java; the library does not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../bin/images}
"$here/../debian-image.sh" "$out/zookeeper.tar" zookeeper:3.8 "$here/rootfs" \
	libzookeeper-java openjdk-17-jre-headless bash dash coreutils -- -entrypoint zookeeper -port 2181/tcp -port 2888/tcp -port 3888/tcp
