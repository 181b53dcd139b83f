#!/usr/bin/env bash
# Builds the two images that the manifests name from Debian's MariaDB, without a
# registry:
#   build.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../bin/images}
"$here/../debian-image.sh" "$out/mysql-server.tar" mysql:5.7 "$here/server" \
	mariadb-server mariadb-client bash dash coreutils findutils grep hostname sed -- -entrypoint mysql-server -port 3306/tcp
"$here/../debian-image.sh" "$out/mysql-backup.tar" gcr.io/google-samples/xtrabackup:1.0 "$here/backup" \
	mariadb-backup mariadb-client ncat bash dash coreutils grep hostname sed -- -entrypoint bash
