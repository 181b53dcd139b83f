package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/node"
)

func apart(name string) *corev1.Pod {
	pod, no := demo(name), false
	pod.Spec.HostUsers = &no
	return pod
}

// withUsers is an agent whose runtime has user namespaces or not.
func (b *bed) withUsers(maxPods int, has bool) node.Config {
	cfg := b.config()
	cfg.MaxPods = maxPods
	cfg.Node = func() *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("10")}, RuntimeHandlers: []corev1.NodeRuntimeHandler{
			{Features: &corev1.NodeRuntimeHandlerFeatures{UserNamespaces: &has}},
		}}}
	}
	return cfg
}

// A pod that asks to be apart from the host's users never runs as one of them.
func TestUserNamespaceIsNotIgnored(t *testing.T) {
	b := newBed(t)
	b.create(apart("apart"))
	b.eventually("it says why", func() bool {
		return b.events.has("Warning FailedCreatePodSandBox Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces")
	})
	if len(b.runtime.Sandboxes()) != 0 {
		t.Error("it has a sandbox")
	}
}

// Each pod has users of its own, in its sandbox, its containers and what is
// mounted; they are kept over a restart of the agent and given back with the pod.
func TestUsersOfPods(t *testing.T) {
	b := newBed(t)
	var mounts []*runtimeapi.Mount
	given := map[string]uint32{}
	b.runtime.SetFail(func(_ string, request any) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch q := request.(type) {
		case *runtimeapi.RunPodSandboxRequest:
			if u := q.Config.Linux.SecurityContext.NamespaceOptions.UsernsOptions; u.GetMode() == runtimeapi.NamespaceMode_POD && u != nil {
				given[q.Config.Metadata.Name] = u.Uids[0].HostId
			}
		case *runtimeapi.CreateContainerRequest:
			u := q.Config.Linux.SecurityContext.NamespaceOptions.UsernsOptions
			if name := q.SandboxConfig.Metadata.Name; u == nil || u.Uids[0].HostId != given[name] || u.Gids[0].Length != 65536 {
				t.Errorf("the container of %s has %v, its sandbox %d", name, u, given[name])
			}
			mounts = append(mounts, q.Config.Mounts...)
		}
		return nil
	})
	b.stop()
	b.begin(b.withUsers(2, true))
	b.create(apart("one"))
	b.eventually("one is ready", func() bool { return b.ready("one") })
	b.stop()
	b.begin(b.withUsers(2, true))
	b.create(apart("two"))
	b.eventually("two is ready", func() bool { return b.ready("two") })
	b.create(apart("three"))
	b.eventually("there are no more", func() bool {
		return b.events.has("Failed to create pod sandbox: create user namespace: could not find an empty slot to allocate a user namespace")
	})
	now := int64(0)
	b.delete("one", metav1.DeleteOptions{GracePeriodSeconds: &now})
	b.eventually("three has those of one", func() bool { return b.ready("three") })
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := fmt.Sprint(given); got != "map[one:65536 three:65536 two:131072]" {
		t.Error(got)
	}
	if len(mounts) == 0 {
		t.Error("nothing was mounted")
	}
	for _, m := range mounts {
		if len(m.UidMappings) != 1 || len(m.GidMappings) != 1 || m.UidMappings[0].HostId < 65536 {
			t.Errorf("%s is mounted with the node's users", m.ContainerPath)
		}
	}
}

// As long as it is not known who has which users nobody gets any.
func TestBrokenRecordOfUsers(t *testing.T) {
	b := newBed(t)
	b.stop()
	pod := apart("stays")
	b.create(pod)
	dir := filepath.Join(b.dir.Kubelet(), "containers", string(pod.UID))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "userns"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.begin(b.withUsers(2, true))
	b.create(apart("other"))
	b.eventually("it says why", func() bool {
		return b.events.has(`user namespace: record pod mappings for existing pod "uid-stays": invalid user namespace mappings file: unexpected end of JSON input`)
	})
	now := int64(0)
	b.delete("stays", metav1.DeleteOptions{GracePeriodSeconds: &now})
	b.eventually("the other one runs", func() bool { return b.ready("other") })
}
