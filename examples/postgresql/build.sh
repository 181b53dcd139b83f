#!/usr/bin/env bash
# Builds the image that the manifest names from Debian's PostgreSQL, without a registry:
#   build.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../bin/images}
"$here/../debian-image.sh" "$out/postgresql.tar" postgres:15 "$here/rootfs" \
	postgresql-15 dash coreutils -- -entrypoint postgres -port 5432/tcp \
	-env PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin -env LANG=C.UTF-8
