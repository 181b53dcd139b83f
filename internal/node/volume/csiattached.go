package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// awaitAttached returns what the controller's half of the driver told of a volume
// that is attached here. Before, the node has said in the API that it uses the
// volume, and has seen in the same object that nobody has begun to detach it.
func (v *Volumes) awaitAttached(ctx context.Context, name string, d *driven) (map[string]string, error) {
	if v.cfg.InUseChanged != nil {
		v.cfg.InUseChanged()
	}
	deadline := v.cfg.Clock.NewTimer(v.cfg.claimWait)
	defer deadline.Stop()
	for delay := 500 * time.Millisecond; ; {
		changed := v.here.next() // before it is asked for: what changes meanwhile is not missed
		about, err := v.attached(ctx, d)
		if err == nil {
			return about, nil
		}
		var again <-chan time.Time
		if !errors.Is(err, errNotListed) {
			// The node's object may never change for this: nobody answers, or the
			// attachment was made anew, which no node may watch.
			again = v.cfg.Clock.After(delay)
			delay = min(2*delay, 5*time.Second)
			if !errors.Is(err, errNotAttached) && ctx.Err() == nil {
				v.cfg.Log.Debug("volume not attached yet", "volume", d.use.PV, "error", err)
			}
		}
		select {
		case <-changed:
		case <-again:
		case <-deadline.C():
			return nil, &notAttachedError{name, err}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// here is what was last seen of the volumes in the node's object.
type here struct {
	mu              sync.Mutex
	inUse, attached []corev1.UniqueVolumeName
	changed         chan struct{} // closed when they change
}

// next is closed with the next change.
func (h *here) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return h.changed
}

// NodeSeen is told what the API server has of this node: what waits for a volume
// to be attached looks again when that may be so.
func (v *Volumes) NodeSeen(node *corev1.Node) {
	var attached []corev1.UniqueVolumeName
	for _, a := range node.Status.VolumesAttached {
		attached = append(attached, a.Name)
	}
	h := &v.here
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.Equal(h.inUse, node.Status.VolumesInUse) && slices.Equal(h.attached, attached) {
		return
	}
	h.inUse, h.attached = node.Status.VolumesInUse, attached
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// notAttachedError is a volume that was not attached in time.
type notAttachedError struct {
	volume string
	err    error
}

func (e *notAttachedError) Error() string {
	return fmt.Sprintf("Unable to attach or mount volumes: unmounted volumes=[%[1]s], unattached volumes=[%[1]s], failed to process volumes=[]: %[2]v", e.volume, e.err)
}

func (e *notAttachedError) Unwrap() error { return e.err }

var (
	errNotAttached = errors.New("timed out waiting for the condition")
	// errNotListed is what a change of the node's object will end.
	errNotListed = fmt.Errorf("%w", errNotAttached)
)

// attached asks once.
func (v *Volumes) attached(ctx context.Context, d *driven) (map[string]string, error) {
	node, err := v.cfg.Client.CoreV1().Nodes().Get(ctx, v.cfg.NodeName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	here := func(a corev1.AttachedVolume) bool { return a.Name == d.use.key() }
	if !slices.Contains(node.Status.VolumesInUse, d.use.key()) || !slices.ContainsFunc(node.Status.VolumesAttached, here) {
		return nil, errNotListed
	}
	attachment, err := v.cfg.Client.StorageV1().VolumeAttachments().Get(ctx, d.use.Attachment, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	switch a := attachment; {
	case a.Spec.Attacher != d.use.Driver || a.Spec.NodeName != v.cfg.NodeName || a.Spec.Source.PersistentVolumeName == nil || *a.Spec.Source.PersistentVolumeName != d.use.PV:
		return nil, fmt.Errorf("VolumeAttachment %s is of another volume", a.Name)
	case !a.Status.Attached || a.DeletionTimestamp != nil:
		return nil, errNotAttached
	}
	return attachment.Status.AttachmentMetadata, nil
}
