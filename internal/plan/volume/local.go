package volume

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
)

// LocalHosts are the hostnames that a volume of the local provisioner names.
func LocalHosts(pv *corev1.PersistentVolume) []string {
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return nil
	}
	var hosts []string
	for _, term := range pv.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && e.Operator == corev1.NodeSelectorOpIn {
				hosts = append(hosts, e.Values...)
			}
		}
	}
	return hosts
}

// LocalDirectory is the directory of a volume that the local provisioner made
// below dir on the node with this hostname; false for every other volume. A
// path that is not directly below dir under the volume's own name is never
// ours, whatever the annotations say.
func LocalDirectory(pv *corev1.PersistentVolume, dir, hostname string) (string, bool) {
	if pv.Annotations[volume.AnnDynamicallyProvisioned] != LocalProvisioner || pv.Spec.Local == nil ||
		dir == "" || !slices.Contains(LocalHosts(pv), hostname) ||
		!strings.HasPrefix(pv.Name, LocalPrefix) || strings.ContainsAny(pv.Name, "/\\") {
		return "", false
	}
	want := path.Join(dir, pv.Name)
	return want, pv.Spec.Local.Path == want
}

// LocalStep is what the node does about a deleted local volume.
type LocalStep int

const (
	// LocalRest means that nothing is to be done yet.
	LocalRest LocalStep = iota
	// LocalKeep drops the finalizer and leaves the directory alone.
	LocalKeep
	// LocalRemove removes the directory and then the finalizer.
	LocalRemove
)

// LocalReclaim decides about a volume of ours on its node: data goes only when
// the volume is being deleted, no claim holds it and its policy says Delete.
func LocalReclaim(pv *corev1.PersistentVolume) LocalStep {
	if pv.DeletionTimestamp == nil || !slices.Contains(pv.Finalizers, LocalFinalizer) ||
		pv.Status.Phase == corev1.VolumeBound || slices.Contains(pv.Finalizers, VolumeProtection) {
		return LocalRest
	}
	if pv.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
		return LocalRemove
	}
	return LocalKeep
}

// LocalAsks tells whether a volume asks its node for anything.
func LocalAsks(pv *corev1.PersistentVolume) bool {
	_, copying := LocalCopyOf(pv)
	return copying || LocalReclaim(pv) != LocalRest || LocalMustGrow(pv)
}
