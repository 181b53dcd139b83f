package node_test

import "testing"

// A pod that asks to be apart from the host's users never runs as one of them.
func TestUserNamespaceIsNotIgnored(t *testing.T) {
	b := newBed(t)
	pod, no := demo("apart"), false
	pod.Spec.HostUsers = &no
	b.create(pod)
	b.eventually("it says why", func() bool {
		return b.events.has("Warning FailedCreatePodSandBox Failed to create pod sandbox: can't set spec.hostUsers: false: user namespaces are not supported on this node")
	})
	if len(b.runtime.Sandboxes()) != 0 {
		t.Error("it has a sandbox")
	}
}
