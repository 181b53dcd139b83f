package admission

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"

	"berth.dev/berth/internal/plan/volume"
)

// localVolume lets a node write that a local volume of its own has begun or
// grown and whether that is held to its size, and give up a deleted one, which it has emptied, and change nothing else of
// volumes. Upstream's nodes may not write them at all.
func (p *nodeRestriction) localVolume(r nodeRequest) error {
	changed, ok1 := r.GetObject().(*corev1.PersistentVolume)
	old, ok2 := r.GetOldObject().(*corev1.PersistentVolume)
	if r.GetOperation() != admission.Update || r.GetSubresource() != "" || !ok1 || !ok2 {
		return r.refuse("may only give up deleted local volumes")
	}
	if _, _, ok := volume.NFSFolder(old); ok {
		return r.nfsVolume(changed, old)
	}
	node, err := p.nodes.Get(r.node)
	if err != nil {
		return r.refuse("node %q is not known", r.node)
	}
	// A node says itself how it is labelled with its host name, but not as another does.
	if host := node.Labels[corev1.LabelHostname]; host != r.node || !slices.Contains(volume.LocalHosts(old), host) {
		return r.refuse("may only give up local volumes of node %q", r.node)
	}
	begun := old.DeepCopy()
	for _, done := range []string{volume.LocalBegin, volume.LocalGrowing} {
		if _, still := changed.Annotations[done]; !still {
			delete(begun.Annotations, done)
		}
	}
	if is, said := changed.Annotations[volume.LocalSizeLimit]; said {
		metav1.SetMetaDataAnnotation(&begun.ObjectMeta, volume.LocalSizeLimit, is)
	}
	begun.ManagedFields, begun.ResourceVersion = changed.ManagedFields, changed.ResourceVersion
	if equality.Semantic.DeepEqual(begun, changed) {
		return nil
	}
	want := old.DeepCopy()
	want.Finalizers = slices.DeleteFunc(want.Finalizers, func(f string) bool { return f == volume.LocalFinalizer })
	want.ManagedFields, want.ResourceVersion = changed.ManagedFields, changed.ResourceVersion
	if !equality.Semantic.DeepEqual(want, changed) || volume.LocalReclaim(old) == volume.LocalRest {
		return r.refuse("may only take the finalizer %s from a deleted local volume", volume.LocalFinalizer)
	}
	return nil
}

// nfsVolume lets a node write that a volume that the NFS provisioner made has its
// folder, and give up a deleted one whose folder it was asked to remove.
func (r nodeRequest) nfsVolume(changed, old *corev1.PersistentVolume) error {
	begun := old.DeepCopy()
	delete(begun.Annotations, volume.LocalBegin)
	removed := old.DeepCopy()
	removed.Finalizers = slices.DeleteFunc(removed.Finalizers, func(f string) bool { return f == volume.NFSFinalizer })
	for _, want := range []*corev1.PersistentVolume{begun, removed} {
		want.ManagedFields, want.ResourceVersion = changed.ManagedFields, changed.ResourceVersion
	}
	if equality.Semantic.DeepEqual(begun, changed) || volume.NFSMustRemove(old, r.node) && equality.Semantic.DeepEqual(removed, changed) {
		return nil
	}
	return r.refuse("may only begin an NFS volume, and give up a deleted one that it was asked to remove")
}
