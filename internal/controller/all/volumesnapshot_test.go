package all_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/controller/all/alltest"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

const driven = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: vol}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  claimRef: {namespace: shop, name: data}
  csi: {driver: csi.example.com, volumeHandle: vol-1}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {namespace: shop, name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", volumeName: vol, resources: {requests: {storage: 1Gi}}}
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata: {name: its, annotations: {snapshot.storage.kubernetes.io/is-default-class: "true"}}
driver: csi.example.com
deletionPolicy: Delete
parameters: {csi.storage.k8s.io/snapshotter-secret-name: keys, csi.storage.k8s.io/snapshotter-secret-namespace: "${volumesnapshot.namespace}"}
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {namespace: shop, name: monday}
spec: {source: {persistentVolumeClaimName: data}}
`

// A snapshot of a storage driver's volume, with the test as the driver's sidecar:
// it is asked for, told of, and goes with its namespace when the driver lets go.
func TestSnapshotOfADriversVolume(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	c := alltest.Start(t, alltest.Options{})
	ctx := t.Context()
	client, err := dynamic.NewForConfig(c.Config)
	must(t, err)
	in := func(kind, namespace string) dynamic.ResourceInterface {
		group := snapshotv1.SchemeGroupVersion
		if strings.HasPrefix(kind, "persistent") || kind == "namespaces" {
			group = corev1.SchemeGroupVersion
		}
		if namespace == "" {
			return client.Resource(group.WithResource(kind))
		}
		return client.Resource(group.WithResource(kind)).Namespace(namespace)
	}
	_, err = c.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	must(t, err)
	for document := range strings.SplitSeq(driven, "---") {
		o := &unstructured.Unstructured{}
		must(t, yaml.Unmarshal([]byte(document), &o.Object))
		plural := strings.Replace(strings.ToLower(o.GetKind())+"s", "classs", "classes", 1)
		_, err := in(plural, o.GetNamespace()).Create(ctx, o, metav1.CreateOptions{})
		must(t, err)
	}
	// field is part of an object, "gone" when there is none.
	field := func(kind, namespace, name string, path ...string) any {
		o, err := in(kind, namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "gone"
		}
		must(t, err)
		is, _, err := unstructured.NestedFieldNoCopy(o.Object, path...)
		must(t, err)
		return is
	}
	becomes := func(want any, kind, namespace, name string, path ...string) {
		t.Helper()
		diff := ""
		for begun := time.Now(); time.Since(begun) < 2*time.Minute; time.Sleep(20 * time.Millisecond) {
			if diff = cmp.Diff(want, field(kind, namespace, name, path...)); diff == "" {
				return
			}
		}
		t.Fatalf("%s of %s (-want +got):\n%s", strings.Join(path, "."), name, diff)
	}
	uid := field("volumesnapshots", "shop", "monday", "metadata", "uid").(string)
	content := "snapcontent-" + uid
	becomes(content, "volumesnapshots", "shop", "monday", "status", "boundVolumeSnapshotContentName")
	becomes("its", "volumesnapshots", "shop", "monday", "spec", "volumeSnapshotClassName")
	version := field("volumesnapshotcontents", "", content, "spec", "volumeSnapshotRef", "resourceVersion")
	becomes(map[string]any{
		"driver": "csi.example.com", "deletionPolicy": "Delete", "source": map[string]any{"volumeHandle": "vol-1"}, "sourceVolumeMode": "Filesystem", "volumeSnapshotClassName": "its",
		"volumeSnapshotRef": map[string]any{
			"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "namespace": "shop", "name": "monday", "uid": uid, "resourceVersion": version,
		},
	}, "volumesnapshotcontents", "", content, "spec")
	becomes(map[string]any{
		"snapshot.storage.kubernetes.io/deletion-secret-name": "keys", "snapshot.storage.kubernetes.io/deletion-secret-namespace": "shop",
	}, "volumesnapshotcontents", "", content, "metadata", "annotations")
	const held = "snapshot.storage.kubernetes.io/pvc-as-source-protection"
	becomes([]any{"kubernetes.io/pvc-protection", held}, "persistentvolumeclaims", "shop", "data", "metadata", "finalizers")

	sidecar := func(patch string, subresource ...string) {
		t.Helper()
		_, err := in("volumesnapshotcontents", "").Patch(ctx, content, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, subresource...)
		must(t, err)
	}
	sidecar(`{"status": {"readyToUse": false, "error": {"message": "Failed to create snapshot: busy", "time": "2026-01-01T00:00:00Z"}}}`, "status")
	becomes("Failed to create snapshot: busy", "volumesnapshots", "shop", "monday", "status", "error", "message")
	sidecar(`{"status": {"readyToUse": true, "snapshotHandle": "snap-1", "creationTime": 1000000000000000000, "restoreSize": 1073741824, "error": null}}`, "status")
	becomes(map[string]any{
		"boundVolumeSnapshotContentName": content, "readyToUse": true, "creationTime": "2001-09-09T01:46:40Z", "restoreSize": "1Gi",
	}, "volumesnapshots", "shop", "monday", "status")
	becomes([]any{"kubernetes.io/pvc-protection"}, "persistentvolumeclaims", "shop", "data", "metadata", "finalizers")

	must(t, c.Client.CoreV1().Namespaces().Delete(ctx, "shop", metav1.DeleteOptions{}))
	becomes("yes", "volumesnapshotcontents", "", content, "metadata", "annotations", "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted")
	becomes([]any{"snapshot.storage.kubernetes.io/volumesnapshot-bound-protection"}, "volumesnapshots", "shop", "monday", "metadata", "finalizers")
	becomes("gone", "persistentvolumeclaims", "shop", "data")
	if field("volumesnapshotcontents", "", content, "metadata", "deletionTimestamp") == nil {
		t.Error("the content is not deleted")
	}
	sidecar(`{"metadata": {"finalizers": null}}`)
	becomes("gone", "volumesnapshots", "shop", "monday")
	becomes("gone", "volumesnapshotcontents", "", content)
	becomes("gone", "namespaces", "", "shop")
}
