package conversation

import "testing"

func TestNormal(t *testing.T) {
	for from, want := range map[string]string{
		"NAME   AGE   LABELS\nc      5s    a=b\nd      12s   <none>": "NAME   AGE   LABELS\nc      <t>   a=b\nd      <t>   <none>",
		"NAME   AGE\nc      0s": "NAME   AGE\nc      <t>",
		"uid: 0b8e8f53-8f6a-4a5e-b3a5-3d2d8f3f0f0e at 2026-11-21T12:00:00Z": "uid: <uid> at <time>",
		`resourceVersion: "12"`:                `resourceVersion: "<version>"`,
		"LAST SEEN   TYPE\n3s          Normal": "LAST SEEN   TYPE\n<t>         Normal",
	} {
		if got := normal(from, nil); got != want {
			t.Errorf("%q became %q, want %q", from, got, want)
		}
	}
}

func TestQuestion(t *testing.T) {
	for command, want := range map[string]bool{
		"kubectl get po": true,
		"kubectl describe po web-0 | sed 's/a/b/; s/c/d/'": true,
		"kubectl delete po web-0":                          false,
		"kubectl get po; kubectl delete po web-0":          false,
		"kubectl get po -w >watch & sleep 1; kill $!":      false,
		"kubectl get po -o yaml >a && kubectl apply -f a":  false,
		"kubectl rollout history sts/web":                  true,
		"kubectl rollout undo sts/web":                     false,
	} {
		if got := question(command); got != want {
			t.Errorf("%q: %v, want %v", command, got, want)
		}
	}
}
