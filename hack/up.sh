#!/usr/bin/env bash
# Starts Berth in the background and runs the demo StatefulSet. Safe to repeat:
# what runs already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${DATA_DIR:-/var/lib/berth}
kubectl=(bin/berth kubectl --data-dir "$dir")
log=$dir/berth.log

if bin/berth status --data-dir "$dir" >/dev/null 2>&1; then
	echo "Berth runs already on $dir"
else
	mkdir -p -m 0700 "$dir"
	setsid bin/berth server --data-dir "$dir" >>"$log" 2>&1 </dev/null &
	server=$!
	if ! bin/berth status --data-dir "$dir" --wait --timeout 60s >/dev/null 2>"$dir/up.err"; then
		if ! kill -0 "$server" 2>/dev/null; then
			echo "Berth did not start:" >&2
			tail -n 5 "$log" >&2
		else
			cat "$dir/up.err" >&2
			echo "see $log" >&2
		fi
		exit 1
	fi
	echo "Berth is up on $dir (pid $server, log $log)"
fi

"${kubectl[@]}" apply -f examples/demo/web.yaml
"${kubectl[@]}" rollout status statefulset/web --timeout=120s
ready=$("${kubectl[@]}" get statefulset web -o 'jsonpath={.status.readyReplicas}')
echo
"${kubectl[@]}" get statefulset,pod,pvc -o wide
echo
echo "$ready demo pods are Ready. Each keeps its name, its address and its disk. Look at:"
echo "  bin/berth kubectl get pods -o wide"
echo "  bin/berth kubectl delete pod web-1     # it comes back under its name, address and disk"
echo "  curl http://$("${kubectl[@]}" get pod web-0 -o 'jsonpath={.status.podIP}'):8080/"
echo "  export KUBECONFIG=$dir/kubeconfig      # for your own kubectl"
echo "Stop it with: make down"
