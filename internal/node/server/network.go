package server

import (
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/usage"
)

// defaultInterface is the one whose figures stand for all, as upstream's.
const defaultInterface = "eth0"

type networkStats struct {
	Time metav1.Time `json:"time"`
	interfaceStats
	Interfaces []interfaceStats `json:"interfaces,omitempty"`
}

type interfaceStats struct {
	Name     string `json:"name"`
	RxBytes  uint64 `json:"rxBytes"`
	RxErrors uint64 `json:"rxErrors"`
	TxBytes  uint64 `json:"txBytes"`
	TxErrors uint64 `json:"txErrors"`
}

// network shows figures, nil when there are none.
func network(list []usage.Interface, at time.Time) *networkStats {
	if len(list) == 0 {
		return nil
	}
	out := &networkStats{Time: metav1.NewTime(at)}
	for _, i := range list {
		shown := interfaceStats{i.Name, i.Received.Bytes, i.Received.Errors, i.Sent.Bytes, i.Sent.Errors}
		if i.Name == defaultInterface {
			out.interfaceStats = shown
		}
		out.Interfaces = append(out.Interfaces, shown)
	}
	return out
}

// interfaces are the node's own.
func interfaces(proc string) []usage.Interface {
	text, err := os.ReadFile(filepath.Join(proc, "net", "dev"))
	if err != nil {
		return nil
	}
	return usage.Interfaces(text)
}

// inside is what the agent knows of a pod.
func (s *Server) inside(pod *corev1.Pod) usage.Inside {
	if s.cfg.Inside == nil {
		return usage.Inside{}
	}
	return s.cfg.Inside(pod)
}
