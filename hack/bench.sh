#!/usr/bin/env bash
# Runs the benchmarks one after the other and prints their figures.
# UPSTREAM=PATH compares the API server with the kube-apiserver at PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
for dir in bench/*/; do
	compare=()
	if [ "$dir" = bench/api/ ] && [ -n "${UPSTREAM:-}" ]; then
		compare=(-upstream "$(realpath "$UPSTREAM")")
	fi
	go test -run '^$' -bench . -benchtime 1x -timeout 60m "./$dir" "${compare[@]}"
done
