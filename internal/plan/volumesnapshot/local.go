package volumesnapshot

import (
	"slices"
	"strings"

	planvolume "berth.dev/berth/internal/plan/volume"
	v1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// FolderPrefix begins the names of the folders of snapshots, which lie beside
// those of volumes.
const FolderPrefix = "snapshot-"

// Step is what a node does about a content.
type Step int

const (
	// Rest means that nothing is to be done.
	Rest Step = iota
	// Take copies the volume.
	Take
	// Look tells whether a snapshot that somebody named is there.
	Look
	// Remove removes the folder, then lets go.
	Remove
	// Keep lets go and leaves the folder alone.
	Keep
)

// Local is what the node with this host name does about a content, the folder of
// the snapshot, and the volume that it is taken of.
func Local(c *v1.VolumeSnapshotContent, hostname string) (step Step, folder, volume string) {
	host, name, ok := place(c)
	if !ok || hostname == "" || host != hostname || c.Spec.Driver != planvolume.LocalProvisioner {
		return Rest, "", ""
	}
	if h := c.Spec.Source.VolumeHandle; h != nil {
		_, volume, _ = split(*h)
	}
	switch {
	case c.DeletionTimestamp != nil && !slices.Contains(c.Finalizers, ContentFinalizer):
		return Rest, "", ""
	case MayGo(c) && c.Spec.DeletionPolicy == v1.Delete:
		return Remove, name, volume
	case MayGo(c):
		return Keep, name, volume
	case c.Status != nil && c.Status.ReadyToUse != nil && *c.Status.ReadyToUse:
		return Rest, "", ""
	case volume != "":
		return Take, name, volume
	}
	return Look, name, ""
}

// Handle is what the content says once its snapshot is there.
func Handle(hostname, folder string) string { return handle(hostname, folder) }

// Place is the host and the folder of a snapshot that is there.
func Place(c *v1.VolumeSnapshotContent) (host, folder string, ok bool) {
	if c.Status == nil || c.Status.SnapshotHandle == nil {
		return "", "", false
	}
	return place(c)
}

// place is the host and the folder of a snapshot: that which it was said to have,
// or that which it will get.
func place(c *v1.VolumeSnapshotContent) (host, folder string, ok bool) {
	if from := c.Spec.Source.SnapshotHandle; from != nil {
		host, folder, ok = split(*from)
		return host, folder, ok && strings.HasPrefix(folder, FolderPrefix)
	}
	if from := c.Spec.Source.VolumeHandle; from != nil {
		host, _, ok = split(*from)
		folder = FolderPrefix + string(c.Spec.VolumeSnapshotRef.UID)
		return host, folder, ok && folder != FolderPrefix && !strings.ContainsAny(folder, "/\\")
	}
	return "", "", false
}

// handle names something on a node, for the driver alone.
func handle(host, name string) string { return host + "/" + name }

func split(handle string) (host, name string, ok bool) {
	host, name, ok = strings.Cut(handle, "/")
	return host, name, ok && host != "" && name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\")
}
