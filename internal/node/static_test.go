package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
)

func (b *bed) withManifests(folder string) {
	b.t.Helper()
	cfg := b.config()
	cfg.Manifests = folder
	cfg.Node = func() *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "n1-uid"},
			Status:     corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("100")}},
		}
	}
	b.begin(cfg)
}

// namesUIDs lets the fake API give UIDs and versions to what is created.
func (b *bed) namesUIDs() *atomic.Int64 {
	n := &atomic.Int64{}
	b.client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		pod := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
		pod.UID = types.UID(fmt.Sprintf("api-%d", n.Add(1)))
		pod.ResourceVersion = fmt.Sprint(n.Load())
		return false, nil, nil
	})
	return n
}

func write(t *testing.T, path, image string) {
	t.Helper()
	text := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {terminationGracePeriodSeconds: 3, containers: [{name: app, image: '%s'}]}\n", image)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file begins a pod, its mirror tells of it, another text replaces it, and
// without the file it ends. A restart of the agent and a deletion of the mirror
// leave the container alone.
func TestStaticPod(t *testing.T) {
	b := newBed(t)
	b.stop()
	b.namesUIDs()
	b.runtime.AddImage("demo:2")
	folder := filepath.Join(t.TempDir(), "manifests")
	b.withManifests(folder)
	file := filepath.Join(folder, "web.yaml")
	write(t, file, "demo:1")
	b.eventually("the mirror is Ready", func() bool { return b.ready("web-n1") })
	first := b.get("web-n1")
	uid := first.Annotations["kubernetes.io/config.hash"]
	if owner := metav1.GetControllerOf(first); len(uid) != 32 || first.Annotations["kubernetes.io/config.mirror"] != uid ||
		first.Annotations["kubernetes.io/config.source"] != "file" || string(first.UID) == uid || owner == nil || owner.UID != "n1-uid" {
		t.Errorf("%+v", first.ObjectMeta)
	}
	if sb := b.runtime.Sandboxes(); len(sb) != 1 || sb[0].Config.Metadata.Uid != uid {
		t.Errorf("sandboxes %+v", sb)
	}
	container := first.Status.ContainerStatuses[0].ContainerID

	b.stop()
	b.withManifests(folder)
	b.delete("web-n1", metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	b.eventually("another mirror", func() bool {
		now := b.get("web-n1")
		return now != nil && now.UID != first.UID && b.ready("web-n1")
	})
	second := b.get("web-n1")
	if got := second.Status.ContainerStatuses[0]; got.ContainerID != container || got.RestartCount != 0 || !second.Status.StartTime.Equal(first.Status.StartTime) {
		t.Errorf("the container was disturbed: %+v", got)
	}
	// Somebody asks for its end: the pod's place is its file.
	b.delete("web-n1", metav1.DeleteOptions{})
	b.eventually("a third mirror", func() bool {
		now := b.get("web-n1")
		return now != nil && now.UID != second.UID && b.ready("web-n1")
	})

	write(t, file, "demo:2")
	b.eventually("the other pod", func() bool {
		now := b.get("web-n1")
		return now != nil && now.Annotations["kubernetes.io/config.mirror"] != uid && b.ready("web-n1")
	})
	if now := b.get("web-n1").Status.ContainerStatuses[0]; now.Image != "demo:2" || now.ContainerID == container || now.RestartCount != 0 {
		t.Errorf("%+v", now)
	}
	b.eventually("nothing is left of the first", func() bool { return len(b.runtime.Sandboxes()) == 1 })

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	b.eventually("all is gone", func() bool { return b.get("web-n1") == nil && len(b.runtime.Sandboxes()) == 0 })
}

// What a file said is taken down by an agent that finds neither the file nor
// anything else that knows of it, and a mirror that nobody runs goes.
func TestStaticPodWhoseFileWentMeanwhile(t *testing.T) {
	b := newBed(t)
	b.stop()
	b.namesUIDs()
	folder := t.TempDir()
	b.withManifests(folder)
	file := filepath.Join(folder, "web.yaml")
	write(t, file, "demo:1")
	b.eventually("the mirror is Ready", func() bool { return b.ready("web-n1") })
	b.stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	stranger := demo("stranger")
	stranger.Annotations = map[string]string{"kubernetes.io/config.mirror": "nobody"}
	b.create(stranger)
	b.withManifests(folder)
	b.eventually("all is gone", func() bool {
		return b.get("web-n1") == nil && b.get("stranger") == nil && len(b.runtime.Sandboxes()) == 0
	})
}
