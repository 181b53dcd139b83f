package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var (
	contents  = schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshotcontents"}
	snapshots = schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshots"}
)

func (d *driver) snapshot(id string) string { return filepath.Join(d.root, "snap", filepath.Base(id)) }

func (d *driver) CreateSnapshot(ctx context.Context, r *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if err := d.there(r.SourceVolumeId); err != nil {
		return nil, err
	}
	id := "snap-" + r.Name
	if _, err := os.Stat(d.snapshot(id)); err != nil {
		if err := errors.Join(os.MkdirAll(filepath.Dir(d.snapshot(id)), 0o755), copyAll(ctx, filepath.Join(d.dir(r.SourceVolumeId), "data"), d.snapshot(id))); err != nil {
			return nil, err
		}
	}
	return &csi.CreateSnapshotResponse{Snapshot: &csi.Snapshot{
		SnapshotId: id, SourceVolumeId: r.SourceVolumeId, SizeBytes: d.size(r.SourceVolumeId), CreationTime: timestamppb.New(time.Now()), ReadyToUse: true,
	}}, nil
}

func (d *driver) DeleteSnapshot(_ context.Context, r *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	return &csi.DeleteSnapshotResponse{}, os.RemoveAll(d.snapshot(r.SnapshotId))
}

// restore fills a new volume with a snapshot.
func (d *driver) restore(ctx context.Context, id, snapshot string) error {
	if _, err := os.Stat(d.snapshot(snapshot)); err != nil {
		return status.Errorf(codes.NotFound, "no snapshot %q", snapshot)
	}
	return copyAll(ctx, d.snapshot(snapshot)+"/.", filepath.Join(d.dir(id), "data"))
}

func copyAll(ctx context.Context, from, to string) error {
	return exec.CommandContext(ctx, "cp", "-a", from, to).Run()
}

// snapshots does what a driver's snapshotter does, with its annotation and finalizer.
func (c *control) snapshots(ctx context.Context) error {
	list, err := c.any.Resource(contents).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var problems []error
	for i := range list.Items {
		if name, _, _ := unstructured.NestedString(list.Items[i].Object, "spec", "driver"); name == c.name {
			problems = append(problems, c.snapshotOne(ctx, &list.Items[i]))
		}
	}
	return errors.Join(problems...)
}

func (c *control) snapshotOne(ctx context.Context, content *unstructured.Unstructured) error {
	const finalizer = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"
	text := func(path ...string) string {
		value, _, _ := unstructured.NestedString(content.Object, path...)
		return value
	}
	handle := text("status", "snapshotHandle")
	switch {
	case content.GetDeletionTimestamp() != nil && content.GetAnnotations()["snapshot.storage.kubernetes.io/volumesnapshot-being-deleted"] != "":
		if len(content.GetFinalizers()) != 1 || content.GetFinalizers()[0] != finalizer {
			return nil
		}
		if text("spec", "deletionPolicy") == "Delete" {
			if _, err := c.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: handle}); err != nil {
				return err
			}
		}
		content.SetFinalizers(nil)
		_, err := c.any.Resource(contents).Update(ctx, content, metav1.UpdateOptions{})
		return err
	case content.GetDeletionTimestamp() == nil && handle == "" && text("spec", "source", "volumeHandle") != "":
		made, err := c.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: "snapshot-" + text("spec", "volumeSnapshotRef", "uid"), SourceVolumeId: text("spec", "source", "volumeHandle")})
		if err != nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{"status": map[string]any{
			"snapshotHandle": made.Snapshot.SnapshotId, "creationTime": made.Snapshot.CreationTime.AsTime().UnixNano(),
			"restoreSize": made.Snapshot.SizeBytes, "readyToUse": made.Snapshot.ReadyToUse,
		}})
		if err != nil {
			return err
		}
		_, err = c.any.Resource(contents).Patch(ctx, content.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	}
	return nil
}

// sourceOf is the driver's name of the snapshot that a claim begins with, "" for none.
func (c *control) sourceOf(ctx context.Context, claim *corev1.PersistentVolumeClaim) (string, error) {
	source := claim.Spec.DataSource
	if source == nil || source.Kind != "VolumeSnapshot" {
		return "", nil
	}
	snapshot, err := c.any.Resource(snapshots).Namespace(claim.Namespace).Get(ctx, source.Name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	name, _, _ := unstructured.NestedString(snapshot.Object, "status", "boundVolumeSnapshotContentName")
	if ready, _, _ := unstructured.NestedBool(snapshot.Object, "status", "readyToUse"); !ready || name == "" {
		return "", errors.New("snapshot " + source.Name + " is not ready")
	}
	content, err := c.any.Resource(contents).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	handle, _, _ := unstructured.NestedString(content.Object, "status", "snapshotHandle")
	return handle, nil
}
