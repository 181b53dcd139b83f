package node

import (
	"os"
	"path/filepath"
	"strings"

	"berth.dev/berth/internal/plan/usage"
	corev1 "k8s.io/api/core/v1"
)

// Inside tells where a pod's processes are, and what went over its network.
func (a *Agent) Inside(pod *corev1.Pod) usage.Inside {
	w := a.find(pod.UID)
	if w == nil {
		return usage.Inside{}
	}
	w.mu.Lock()
	sandbox := ""
	for id, sb := range w.sandboxes {
		if sb.Ready {
			sandbox = id
		}
	}
	w.mu.Unlock()
	if sandbox == "" {
		return usage.Inside{}
	}
	in := usage.Inside{Cgroup: a.cgroup(pod), Sandbox: sandbox}
	if !pod.Spec.HostNetwork { // else they are the node's
		in.Interfaces = interfacesOf(cgroupRoot, "/proc", filepath.Join(in.Cgroup, sandbox))
	}
	return in
}

// interfacesOf are those that the processes of a cgroup have. It is asked of a
// sandbox: containers' processes may have gone to another network.
func interfacesOf(root, proc, cgroup string) []usage.Interface {
	for _, controller := range []string{"", "memory", "cpu", "pids"} {
		pids, err := os.ReadFile(filepath.Join(root, controller, cgroup, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, pid := range strings.Fields(string(pids)) {
			if text, err := os.ReadFile(filepath.Join(proc, pid, "net", "dev")); err == nil {
				return usage.Interfaces(text)
			}
		}
	}
	return nil
}
