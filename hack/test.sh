#!/usr/bin/env bash
# Runs all tests; called by `make test` after the build. Arguments: the packages
# that are tested under the race detector as well.
#
# The end-to-end tests come last: what the cheap tests find, they need not find.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
step() {
	echo "== $1"
	shift
	"$@" 2>&1 | tee -a "$log" | grep -vE 'no test files'
	[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
}
step "unit, API and simulator" go test -timeout 20m $(go list ./... | grep -v /test/e2e)
step "race detector" env CGO_ENABLED=1 go test -race -timeout 20m "$@"
step "bundle" go -C bundle test ./mkimage ./demo
step "end to end" go test -count=1 -timeout 40m ./test/e2e/...

passed=$(grep -cE '^ok' "$log")
echo
if [ "$failed" -ne 0 ]; then
	# A failing end-to-end test prints its cluster's state: what failed, and with
	# which words, is said once more at the end.
	awk '
		/^FAIL|^panic: |^[ ]*--- FAIL/ { print substr($0, 1, 200); left = 0; next }
		/^[ ]+[a-z0-9_]+\.go:[0-9]+: / { left = /: the server.s last words/ ? 1 : 25 }
		left > 0 { print substr($0, 1, 200); left-- }
	' "$log"
fi
echo "$passed passed, $(grep -cE '^FAIL[[:space:]]+[^ ]' "$log") failed"
exit "$failed"
