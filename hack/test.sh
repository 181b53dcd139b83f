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
# why says in one line each what a failed test said, the last first: a failing
# end-to-end test prints its cluster's state after its words, hundreds of lines.
why() {
	awk '
		function flush() { if (words != "") said[++n] = words; words = ""; left = 0 }
		function end() { flush(); for (; n > 0; n--) print "why: " name ": " substr(said[n], 1, 600) }
		/^[ ]*--- FAIL/ { end(); name = $3; next }
		/^[ ]*--- |^(ok|FAIL|PASS)/ { end(); next }
		/^panic: / { print "why: " substr($0, 1, 600); next }
		/^[ ]+[a-z0-9_]+\.go:[0-9]+: / {
			flush()
			sub(/^ +/, "")
			if ($0 !~ /^(cluster|view)\.go/) { words = $0; left = 6 }
			next
		}
		left > 0 { sub(/^ +/, ""); words = words " | " $0; left-- }
		END { end() }
	' "$log"
}
if [ "$failed" -ne 0 ]; then
	why
	grep -E '^[ ]*--- FAIL|^FAIL' "$log"
	why
fi
echo "$passed passed, $(grep -cE '^FAIL[[:space:]]+[^ ]' "$log") failed"
exit "$failed"
