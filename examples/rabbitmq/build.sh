#!/usr/bin/env bash
# Builds the image that the manifest names from Debian's RabbitMQ, without a registry:
#   build.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../bin/images}
"$here/../debian-image.sh" "$out/rabbitmq.tar" rabbitmq:3.10 "$here/rootfs" \
	rabbitmq-server dash coreutils grep sed hostname -- -entrypoint rabbitmq-server -port 5672/tcp \
	-env PATH=/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/bin:/bin -env LANG=C.UTF-8
