package volume

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// LocalBegin on a volume of the local provisioner says how its folder begins.
// The node takes it away once the folder is there and before any pod may write
// to it. So a volume without it has been used, whatever became of its folder,
// and is never begun a second time.
const (
	LocalBegin      = "berth.dev/begin"
	LocalBeginEmpty = "empty"
	// localBeginCopy is before the name of the volume whose copy this one is.
	localBeginCopy = "copy-of/"
)

// LocalSizeLimit on a volume of the local provisioner is whether its folder is held
// to its capacity: LocalHeld, or why it is not. Its node writes it.
const (
	LocalSizeLimit = "berth.dev/size-limit"
	LocalHeld      = "held"
)

// LocalMayBeginEmpty tells whether nobody can have used the volume yet.
func LocalMayBeginEmpty(pv *corev1.PersistentVolume) bool {
	return pv.Annotations[LocalBegin] == LocalBeginEmpty
}

// LocalCopyOf is the volume whose content this one begins with, as long as it
// has not got it.
func LocalCopyOf(pv *corev1.PersistentVolume) (source string, ok bool) {
	return strings.CutPrefix(pv.Annotations[LocalBegin], localBeginCopy)
}

// LocalLost is what to tell the user of a volume whose folder, or file of
// blocks, was there and is not there any more.
func LocalLost(path string) error {
	return fmt.Errorf("path %q does not exist: this volume has been in use and is not begun anew without its data. "+
		"Mount the disk that it was on, or restore it to that path from a backup; if its data may be lost, make it there by hand, or delete the claim", path)
}
