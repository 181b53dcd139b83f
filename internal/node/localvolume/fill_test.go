package localvolume

import (
	"context"
	"fmt"
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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
)

// Volumes that are copies get their content before anybody may bind them, also
// after a crash in the middle; a source stays until its copies are done.
func TestFill(t *testing.T) {
	dir := t.TempDir()
	live := func(name, begin string, more ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
		pv := deleted(name, filepath.Join(dir, name), more...)
		pv.DeletionTimestamp, pv.Status.Phase = nil, corev1.VolumePending
		pv.Spec.ClaimRef, pv.Spec.StorageClassName = &corev1.ObjectReference{Namespace: "ns", Name: "of-" + name}, "local"
		if begin != "" {
			pv.Annotations[volume.LocalBegin] = begin
		}
		return pv
	}
	block := func(size string) func(*corev1.PersistentVolume) {
		return func(pv *corev1.PersistentVolume) {
			pv.Spec.VolumeMode, pv.Spec.Capacity = ptr.To(corev1.PersistentVolumeBlock), corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
		}
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "pvc-source", "deep", "file"), "data")
	write(filepath.Join(dir, "pvc-blocks", volume.LocalBlocks), "blocks")
	write(filepath.Join(dir, ".pvc-copy.copy", "half"), "of a former try")
	write(filepath.Join(dir, "pvc-done", "file"), "finished, but nobody wrote it down")
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelHostname: "host1"}}},
		deleted("pvc-source", filepath.Join(dir, "pvc-source")), live("pvc-blocks", "", block("6")),
		live("pvc-copy", "copy-of/pvc-source"), live("pvc-larger", "copy-of/pvc-blocks", block("9000")),
		live("pvc-done", "copy-of/pvc-source"), live("pvc-new", volume.LocalBeginEmpty), live("pvc-of-new", "copy-of/pvc-new"),
		live("pvc-new-blocks", volume.LocalBeginEmpty, block("6")), live("pvc-of-new-blocks", "copy-of/pvc-new-blocks", block("9000")),
		live("pvc-lost", "copy-of/pvc-nowhere"), live("pvc-evil", "copy-of/../../etc"))
	var mu sync.Mutex
	said := map[string][]string{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{Client: client, NodeName: "n1", Dir: dir, Log: slog.New(slog.DiscardHandler), Event: func(about runtime.Object, kind, reason, message string) {
			mu.Lock()
			defer mu.Unlock()
			name := about.(*corev1.PersistentVolumeClaim).Name
			said[name] = append(said[name], fmt.Sprint(kind, " ", reason, ": ", message))
		}})
	}()
	get := func(name string) *corev1.PersistentVolume {
		pv, err := client.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return pv
	}
	for name, want := range map[string]string{
		"pvc-copy/deep/file": "data", "pvc-done/file": "finished, but nobody wrote it down", "pvc-larger/blocks": "blocks" + strings.Repeat("\x00", 12282),
		"pvc-of-new-blocks/blocks": strings.Repeat("\x00", 12288), "pvc-of-new": "",
	} {
		pv, _, _ := strings.Cut(name, "/")
		soon(t, pv+" to be filled", func() bool { _, copying := volume.LocalCopyOf(get(pv)); return !copying })
		if text, err := os.ReadFile(filepath.Join(dir, name)); want != "" && (err != nil || string(text) != want) {
			t.Errorf("%s has %d bytes, %v", name, len(text), err)
		}
		soon(t, "word of "+pv, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Equal(said["of-"+pv], []string{"Normal ProvisioningSucceeded: Successfully provisioned volume " + pv})
		})
	}
	for name, want := range map[string]string{"pvc-copy": "not held: its file system ", "pvc-of-new": "not held: its file system ", "pvc-larger": ""} { // blocks need no limit
		if is := get(name).Annotations[volume.LocalSizeLimit]; !strings.HasPrefix(is, want) || want == "" && is != "" {
			t.Errorf("the size of %s: %q", name, is)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "pvc-of-new")); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("a copy of what was never used: %v %v", info, err)
	}
	soon(t, "word of what cannot be copied", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(said["of-pvc-lost"], fmt.Sprintf("Warning ProvisioningFailed: failed to provision volume with StorageClass \"local\": path %q, which this volume is to be a copy of, does not exist",
			filepath.Join(dir, "pvc-nowhere")))
	})
	// Only now may the source go, which was deleted all the time.
	soon(t, "the source to go", func() bool { return len(get("pvc-source").Finalizers) == 0 })
	if _, err := os.Stat(filepath.Join(dir, "pvc-source")); !os.IsNotExist(err) {
		t.Errorf("the source is still there: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
