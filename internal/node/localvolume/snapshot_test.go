package localvolume

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// Snapshots are whole copies beside the volumes, also after a crash in the
// middle; a deleted one goes when no volume is being made of it, and nothing
// else does.
func TestSnapshots(t *testing.T) {
	dir := t.TempDir()
	write := func(text string, parts ...string) {
		t.Helper()
		path := filepath.Join(append([]string{dir}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pv := func(name string) *corev1.PersistentVolume {
		return deleted(name, filepath.Join(dir, name), func(pv *corev1.PersistentVolume) {
			pv.DeletionTimestamp, pv.Status.Phase = nil, corev1.VolumeBound
			pv.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("8Mi")}
		})
	}
	content := func(uid, of string, change ...func(*snapshotv1.VolumeSnapshotContent)) runtime.Object {
		c := &snapshotv1.VolumeSnapshotContent{
			TypeMeta:   metav1.TypeMeta{APIVersion: snapshotv1.SchemeGroupVersion.String(), Kind: "VolumeSnapshotContent"},
			ObjectMeta: metav1.ObjectMeta{Name: uid, Finalizers: []string{"another.example/one", volumesnapshot.ContentFinalizer}},
			Spec: snapshotv1.VolumeSnapshotContentSpec{
				Driver: volume.LocalProvisioner, DeletionPolicy: snapshotv1.Delete, Source: snapshotv1.VolumeSnapshotContentSource{VolumeHandle: ptr.To("host1/" + of)},
				VolumeSnapshotRef: corev1.ObjectReference{Namespace: "ns", Name: "s-" + uid, UID: types.UID(uid)},
			},
		}
		for _, f := range change {
			f(c)
		}
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c)
		if err != nil {
			t.Fatal(err)
		}
		return &unstructured.Unstructured{Object: fields}
	}
	gone := func(c *snapshotv1.VolumeSnapshotContent) {
		c.DeletionTimestamp, c.Annotations = ptr.To(metav1.Now()), map[string]string{volumesnapshot.BeingDeleted: "yes"}
	}
	named := func(handle string) func(*snapshotv1.VolumeSnapshotContent) {
		return func(c *snapshotv1.VolumeSnapshotContent) {
			c.Spec.Source = snapshotv1.VolumeSnapshotContentSource{SnapshotHandle: &handle}
		}
	}
	write("data", "pvc-source", "deep", "file")
	write("half", ".snapshot-crashed.copy", "file")
	write("finished, but nobody wrote it down", "snapshot-done", "file")
	write("goes", "snapshot-gone", "file")
	write("half", ".snapshot-gone.copy", "file")
	write("half", ".snapshot-kept.copy", "file")
	write("half, and nobody knows of what", ".snapshot-forgotten.copy", "file")
	write("half, and nobody knows of what", ".pvc-forgotten.copy", "file")
	write("restored", "snapshot-restored", "file")
	kept := []string{"snapshot-kept/file", "snapshot-others/file", "snapshot-forgotten/file", ".somebody.copy/file", "pvc-source/deep/file"}
	for _, path := range kept[:4] {
		write("stays", path)
	}
	restoring := pv("pvc-of-restored")
	restoring.Annotations[volume.LocalBegin] = "copy-of/snapshot-restored"
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelHostname: "host1"}}},
		pv("pvc-source"), restoring)
	dynamicClient := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{snapshotv1.Contents: "VolumeSnapshotContentList"},
		content("new", "pvc-source"), content("crashed", "pvc-source"), content("done", "pvc-source"), content("lost", "pvc-nowhere"),
		content("gone", "pvc-source", gone), content("restored", "pvc-source", gone),
		content("kept", "pvc-source", gone, func(c *snapshotv1.VolumeSnapshotContent) { c.Spec.DeletionPolicy = snapshotv1.Retain }),
		content("others", "pvc-source", gone, func(c *snapshotv1.VolumeSnapshotContent) { c.Spec.Source.VolumeHandle = ptr.To("host2/pvc-source") }),
		content("imported", "", named("host1/snapshot-kept")), content("missing", "", named("host1/snapshot-missing")))
	contents := dynamicClient.Resource(snapshotv1.Contents)
	var mu sync.Mutex
	var said []string
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			Client: client, Snapshots: dynamicClient, NodeName: "n1", Dir: dir, Log: slog.New(slog.DiscardHandler),
			Event: func(about runtime.Object, _, reason, message string) {
				mu.Lock()
				defer mu.Unlock()
				if c, ok := about.(*snapshotv1.VolumeSnapshotContent); ok {
					said = append(said, c.Name+" "+reason+": "+message)
				}
			},
		})
	}()
	get := func(name string) *snapshotv1.VolumeSnapshotContent {
		u, err := contents.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c, ok := typed(u)
		if !ok {
			t.Fatalf("%v is no content", u)
		}
		return c
	}
	for name, want := range map[string]string{
		"new": "snapshot-new/deep/file data", "crashed": "snapshot-crashed/deep/file data", "done": "snapshot-done/file finished, but nobody wrote it down",
		"imported": "snapshot-kept/file stays",
	} {
		soon(t, name+" to be taken", func() bool { s := get(name).Status; return s != nil && ptr.Deref(s.ReadyToUse, false) })
		path, text, _ := strings.Cut(want, " ")
		if has, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(has) != text {
			t.Errorf("%s: %q %v", path, has, err)
		}
		s := get(name).Status
		folder, _, _ := strings.Cut(path, "/")
		if *s.SnapshotHandle != "host1/"+folder || *s.CreationTime <= 0 || (s.RestoreSize == nil) != (name == "imported") || s.RestoreSize != nil && *s.RestoreSize != 8<<20 {
			t.Errorf("%s says %+v", name, s)
		}
	}
	for _, want := range []string{
		`lost SnapshotCreationFailed: Failed to create snapshot: failed to take snapshot of the volume host1/pvc-nowhere: "persistentvolumes \"pvc-nowhere\" not found"`,
		`missing SnapshotContentCheckandUpdateFailed: Failed to check and update snapshot content: failed to list snapshot for content missing: "lstat ` + filepath.Join(dir, "snapshot-missing") + `: no such file or directory"`,
	} {
		soon(t, want, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(said, want)
		})
		name, _, _ := strings.Cut(want, " ")
		soon(t, "its status", func() bool { s := get(name).Status; return s != nil && s.Error != nil && !*s.ReadyToUse })
	}
	// The snapshot of which a volume is made goes once that has what it needs.
	for _, name := range []string{"gone", "kept", "restored"} {
		soon(t, name+" to be let go of", func() bool { return slices.Equal(get(name).Finalizers, []string{"another.example/one"}) })
	}
	if text, err := os.ReadFile(filepath.Join(dir, "pvc-of-restored", "file")); err != nil || string(text) != "restored" {
		t.Errorf("made of a deleted snapshot: %q %v", text, err)
	}
	for _, path := range []string{"snapshot-gone", ".snapshot-gone.copy", ".snapshot-crashed.copy", ".snapshot-kept.copy", "snapshot-restored", ".snapshot-forgotten.copy", ".pvc-forgotten.copy"} {
		soon(t, path+" to be gone", func() bool {
			_, err := os.Lstat(filepath.Join(dir, path))
			return os.IsNotExist(err)
		})
	}
	for _, path := range kept {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Errorf("removed what was not to be removed: %v", err)
		}
	}
	if n := len(get("others").Finalizers); n != 2 {
		t.Errorf("another node's has %d finalizers", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
