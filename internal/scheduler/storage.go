package scheduler

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// attachedNode is the index of attachments by node.
const attachedNode = "spec.nodeName"

func attachedTo() loop.Index {
	return loop.Index{Kind: &storagev1.VolumeAttachment{}, Field: attachedNode, Keys: func(o client.Object) []string {
		return []string{o.(*storagev1.VolumeAttachment).Spec.NodeName}
	}}
}

// storage answers about volumes from the cache, for one decision. What cannot
// be read counts as not there: the binder and the node will say so.
type storage struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the decision
	read client.Reader

	// What a decision asks for each node is read once.
	limits  map[string]*storagev1.CSINode
	drivers map[string]*storagev1.CSIDriver
}

func (s *storage) Claim(namespace, name string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume, *storagev1.StorageClass) {
	claim := &corev1.PersistentVolumeClaim{}
	if ok, err := find(s.ctx, s.read, types.NamespacedName{Namespace: namespace, Name: name}, claim); err != nil || !ok {
		return nil, nil, nil
	}
	pv, class, err := behind(s.ctx, s.read, claim)
	if err != nil {
		return claim, nil, nil
	}
	return claim, pv, class
}

func (s *storage) Limits(node string) *storagev1.CSINode {
	if s.limits == nil {
		s.limits = byName[*storagev1.CSINode](s, &storagev1.CSINodeList{})
	}
	return s.limits[node]
}

func (s *storage) Driver(name string) *storagev1.CSIDriver {
	if s.drivers == nil {
		s.drivers = byName[*storagev1.CSIDriver](s, &storagev1.CSIDriverList{})
	}
	return s.drivers[name]
}

// byName are all objects of a kind that has no namespace.
func byName[T client.Object](s *storage, list client.ObjectList) map[string]T {
	all, err := loop.List[T](s.ctx, s.read, list)
	out := make(map[string]T, len(all))
	if err != nil {
		return out
	}
	for _, o := range all {
		out[o.GetName()] = o
	}
	return out
}

func (s *storage) Capacities() []*storagev1.CSIStorageCapacity {
	all, err := loop.List[*storagev1.CSIStorageCapacity](s.ctx, s.read, &storagev1.CSIStorageCapacityList{})
	if err != nil {
		return nil
	}
	return all
}

func (s *storage) Attached(node string) map[string]string {
	all, err := loop.List[*storagev1.VolumeAttachment](s.ctx, s.read, &storagev1.VolumeAttachmentList{}, client.MatchingFields{attachedNode: node})
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for _, a := range all {
		if a.Spec.Attacher == "" || a.Spec.Source.PersistentVolumeName == nil {
			continue
		}
		pv := &corev1.PersistentVolume{}
		ok, err := find(s.ctx, s.read, types.NamespacedName{Name: *a.Spec.Source.PersistentVolumeName}, pv)
		if err == nil && ok && pv.Spec.CSI != nil {
			out[a.Spec.Attacher+"/"+pv.Spec.CSI.VolumeHandle] = a.Spec.Attacher
		}
	}
	return out
}
