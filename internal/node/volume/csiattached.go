package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// awaitAttached returns what the controller's half of the driver told of a volume
// that is attached here. Before, the node has said in the API that it uses the
// volume, and has seen in the same object that nobody has begun to detach it.
func (v *Volumes) awaitAttached(ctx context.Context, name string, d *driven) (map[string]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if v.cfg.InUseChanged != nil {
		v.cfg.InUseChanged()
	}
	changes := v.watchNode(ctx)
	deadline := v.cfg.Clock.NewTimer(v.cfg.claimWait)
	defer deadline.Stop()
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		about, err := v.attached(ctx, d)
		if err == nil {
			return about, nil
		}
		if !errors.Is(err, errNotAttached) && ctx.Err() == nil {
			v.cfg.Log.Debug("volume not attached yet", "volume", d.use.PV, "error", err)
		}
		pause := v.cfg.Clock.NewTimer(delay)
		select {
		case <-changes:
		case <-pause.C():
		case <-deadline.C():
			return nil, &notAttachedError{name, err}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		pause.Stop()
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

var errNotAttached = errors.New("timed out waiting for the condition")

// attached asks once.
func (v *Volumes) attached(ctx context.Context, d *driven) (map[string]string, error) {
	node, err := v.cfg.Client.CoreV1().Nodes().Get(ctx, v.cfg.NodeName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	here := func(a corev1.AttachedVolume) bool { return a.Name == d.use.key() }
	if !slices.Contains(node.Status.VolumesInUse, d.use.key()) || !slices.ContainsFunc(node.Status.VolumesAttached, here) {
		return nil, errNotAttached
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

// watchNode tells of changes of this node's object; without a watch time does.
func (v *Volumes) watchNode(ctx context.Context) <-chan struct{} {
	changes := make(chan struct{}, 1)
	w, err := v.cfg.Client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, v.cfg.NodeName).String(),
	})
	if err != nil {
		return nil
	}
	go func() {
		defer w.Stop()
		for {
			select {
			case _, ok := <-w.ResultChan():
				if !ok {
					return
				}
				select {
				case changes <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return changes
}
