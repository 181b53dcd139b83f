#!/usr/bin/env bash
# Runs the systems of examples/ one after the other through their tests, each on
# clusters of its own, and prints a table at the end; called by make:
#   systems.sh examples|drills [SYSTEM...]
# What a test said is kept in bin/examples or bin/drills. With CONTINUE=1 those that
# have passed before are not run again. Ctrl-C ends it and leaves nothing running.
set -uo pipefail
cd "$(dirname "$0")/.."
what=${1:?usage: systems.sh examples|drills [SYSTEM...]}
shift
case $what in
examples) known=(nginx redis etcd mysql postgresql zookeeper rabbitmq prometheus shop public) ;;
drills) known=(redis etcd postgresql zookeeper mysql rabbitmq) ;;
*) echo "systems.sh: $what is neither examples nor drills" >&2 && exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "make $what makes test machines of namespaces: run it as root" >&2; exit 1; }
asked=("$@")
[ $# -gt 0 ] || asked=("${known[@]}")
for s in "${asked[@]}"; do
	[[ " ${known[*]} " == *" $s "* ]] || { echo "make $what knows no system $s, but ${known[*]}" >&2; exit 2; }
done
out=$PWD/bin/$what
mkdir -p "$out"

# test_of sets the package, and the arguments of its test program.
test_of() {
	package=./test/e2e/systems arguments=(-examples)
	case $what/$1 in
	drills/*) package=./test/e2e/drills arguments=(-test.run "^(TestDrills|TestCutNode)\$/^$1\$" -drills -table "$out/$1.rows") ;;
	*/nginx) package=./test/e2e arguments=(-test.run '^TestNginxKeepsItsBerth$') ;;
	*/shop) package=./test/e2e arguments=(-test.run '^TestShop$') ;;
	*/public) arguments+=(-test.run '^TestPublicImages$') ;;
	*) arguments+=(-test.run "(?i)^Test$1(Scaling)?\$") ;;
	esac
}

running='' stopped=''
trap 'stopped=1; [ -z "$running" ] || kill -TERM "$running" 2>/dev/null' INT TERM
declare -A result
for s in "${asked[@]}"; do
	[ -z "$stopped" ] || break
	log=$out/$s.log
	if [ -n "${CONTINUE:-}" ] && [ -e "$out/$s.passed" ]; then
		result[$s]="$(cat "$out/$s.passed") (before)"
		continue
	fi
	test_of "$s"
	program=$out/$(basename "$package").test
	rm -f "$out/$s".{rows,passed,log}
	echo "== $what: $s (all it says: $log)"
	go test -c -o "$program" "$package" || { result[$s]="FAILED: its test is not built"; continue; }
	[ -z "$stopped" ] || break
	: >"$log"
	tail -f "$log" 2>/dev/null > >(grep --line-buffered -E '^ *(---|panic:)|\.go:[0-9]+: (\| |[a-z]+ is up after)') &
	viewer=$!
	began=$SECONDS
	(cd "$package" && exec "$program" -test.v -test.timeout 4h "${arguments[@]}") >"$log" 2>&1 </dev/null &
	running=$!
	until wait "$running"; code=$?; ! kill -0 "$running" 2>/dev/null; do :; done
	running=''
	read -r _ _ load _ </proc/loadavg
	took="in $((SECONDS - began)) s, load $load"
	sleep 1 && kill "$viewer" 2>/dev/null # it shows the last lines
	if [ -n "$stopped" ]; then
		result[$s]="stopped"
	elif [ "$code" -ne 0 ]; then
		result[$s]="FAILED $took: $log"
	elif ! grep -q '^--- PASS' "$log"; then
		result[$s]="FAILED: no test was run: $log"
	else
		result[$s]="passed $took"
		echo "${result[$s]}" >"$out/$s.passed"
	fi
done

echo
if [ "$what" = drills ]; then
	echo "| system | drill | acknowledged | lost | longest gap | full health |"
	echo "|---|---|---|---|---|---|"
	for s in "${asked[@]}"; do cat "$out/$s.rows" 2>/dev/null; done
	echo
fi
failed=0
for s in "${asked[@]}"; do
	printf '%-12s %s\n' "$s" "${result[$s]:-not run}"
	[[ ${result[$s]:-} == passed* ]] || failed=1
done
[ -z "$stopped" ] || exit 130
exit "$failed"
