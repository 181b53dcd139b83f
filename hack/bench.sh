#!/usr/bin/env bash
# Runs the benchmarks one after the other and prints their figures.
set -euo pipefail
cd "$(dirname "$0")/.."
for dir in bench/*/; do
	go test -run '^$' -bench . -benchtime 1x -timeout 60m "./$dir"
done
