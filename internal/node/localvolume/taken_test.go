package localvolume

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/plan/volume"
)

// A volume that is deleted although a snapshot of it is being taken goes when that
// is done; of one that is going none is begun.
func TestDeletedWhileTaken(t *testing.T) {
	dir := t.TempDir()
	pv := deleted("pvc-source", filepath.Join(dir, "pvc-source"))
	if err := os.Mkdir(filepath.Join(dir, "pvc-source"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := &janitor{Config: Config{Dir: dir}, hostname: "host1", store: cache.NewStore(cache.MetaNamespaceKeyFunc), contents: cache.NewStore(cache.MetaNamespaceKeyFunc)}
	for _, err := range []error{r.store.Add(pv), r.contents.Add(&unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "c"},
		"spec": map[string]any{
			"driver": volume.LocalProvisioner, "deletionPolicy": "Delete", "source": map[string]any{"volumeHandle": "host1/pvc-source"},
			"volumeSnapshotRef": map[string]any{"namespace": "ns", "name": "s", "uid": "u"},
		},
	}})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var running sync.WaitGroup
	looked := make(chan string, 10)
	r.copies = copies{running: map[string]*copying{}, start: running.Go, again: func(name string, _ bool) { looked <- name }}
	if r.isCopied("pvc-source") {
		t.Error("held before anything is under way")
	}
	done := make(chan struct{})
	r.copies.begin(t.Context(), contentKey+"c", func(context.Context) error { <-done; return nil }, "pvc-source")
	if !r.isCopied("pvc-source") || r.isCopied("pvc-other") {
		t.Error("the volume is not held, or another is")
	}
	close(done)
	running.Wait()
	if r.isCopied("pvc-source") || len(looked) != 1 || <-looked != "pvc-source" {
		t.Error("nobody looks at the volume again")
	}
	_, err := r.copyFor(t.Context(), "host1", filepath.Join(dir, "snapshot-u"), "pvc-source")
	if err == nil || !strings.Contains(err.Error(), "volume pvc-source is being deleted") {
		t.Errorf("a snapshot of what is going: %v", err)
	}
	pv.DeletionTimestamp, pv.Spec.Capacity = nil, corev1.ResourceList{}
	if status, err := r.copyFor(t.Context(), "host1", filepath.Join(dir, "snapshot-u"), "pvc-source"); err != nil || *status.SnapshotHandle != "host1/snapshot-u" {
		t.Errorf("%+v %v", status, err)
	}
	pv.DeletionTimestamp = &metav1.Time{}
	if _, err := r.copyFor(t.Context(), "host1", filepath.Join(dir, "snapshot-u"), "pvc-source"); err != nil {
		t.Errorf("one that is whole: %v", err)
	}
}
