package volume

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

const (
	// NFSProvisioner is the name that storage classes use to ask for a
	// directory of their own below one that a server exports.
	NFSProvisioner = "berth.dev/nfs"
	// NFSFinalizer keeps such a volume until a node has removed its directory.
	NFSFinalizer = "berth.dev/nfs-volume"
	// NFSKeeper on a deleted volume is the node that removes its directory.
	NFSKeeper = "berth.dev/nfs-keeper"
)

// Parameters of the classes of the NFS provisioner.
const (
	nfsServer = "server"
	nfsShare  = "share"
)

// ProvisionNFS decides on one claim whose class names the NFS provisioner. Any
// node may use the volume; the first that does makes its directory.
func ProvisionNFS(s ProvisionState) ProvisionPlan {
	if s.Class == nil || s.Class.Provisioner != NFSProvisioner || s.Exists ||
		s.Claim.Spec.VolumeName != "" || s.Claim.DeletionTimestamp != nil {
		return ProvisionPlan{}
	}
	if s.Class.VolumeBindingMode != nil && *s.Class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer &&
		s.Claim.Annotations[volume.AnnSelectedNode] == "" {
		return ProvisionPlan{Hold: "waiting for the scheduler to choose a node"}
	}
	why := refusal(s, NFSProvisioner)
	if why == "" && modeOf(s.Claim.Spec.VolumeMode) == corev1.PersistentVolumeBlock {
		why = NFSProvisioner + " does not support block volume provisioning"
	}
	if why == "" {
		why = badParameters(s.Class)
	}
	if why != "" {
		return s.failed(why)
	}
	pv := newVolume(s, NFSProvisioner, NFSFinalizer)
	pv.Spec.NFS = &corev1.NFSVolumeSource{Server: s.Class.Parameters[nfsServer], Path: path.Join(s.Class.Parameters[nfsShare], pv.Name)}
	return ProvisionPlan{Volume: pv, Events: []Event{{
		corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume " + pv.Name,
	}}}
}

func badParameters(class *storagev1.StorageClass) string {
	for _, name := range slices.Sorted(maps.Keys(class.Parameters)) {
		if name != nfsServer && name != nfsShare {
			return fmt.Sprintf("invalid parameter %q in storage class: there are %q and %q", name, nfsServer, nfsShare)
		}
	}
	switch {
	case class.Parameters[nfsServer] == "":
		return fmt.Sprintf("%s is a required parameter", nfsServer)
	case !path.IsAbs(class.Parameters[nfsShare]):
		return fmt.Sprintf("%s is a required parameter, the absolute path that the server exports", nfsShare)
	}
	return ""
}

// NFSFolder is the directory of a volume that the NFS provisioner made: its name
// below the exported one; false for every other volume.
func NFSFolder(pv *corev1.PersistentVolume) (share *corev1.NFSVolumeSource, name string, ok bool) {
	if pv.Annotations[volume.AnnDynamicallyProvisioned] != NFSProvisioner || pv.Spec.NFS == nil ||
		!strings.HasPrefix(pv.Name, "pvc-") || path.Base(pv.Spec.NFS.Path) != pv.Name || path.Clean(pv.Spec.NFS.Path) != pv.Spec.NFS.Path {
		return nil, "", false
	}
	return &corev1.NFSVolumeSource{Server: pv.Spec.NFS.Server, Path: path.Dir(pv.Spec.NFS.Path)}, pv.Name, true
}

// nfsIsOver says that a volume is deleted and nothing holds it any more.
func nfsIsOver(pv *corev1.PersistentVolume) bool {
	return pv.DeletionTimestamp != nil && slices.Contains(pv.Finalizers, NFSFinalizer) &&
		pv.Status.Phase != corev1.VolumeBound && !slices.Contains(pv.Finalizers, VolumeProtection)
}

// NFSMustRemove tells a node to remove the directory of a deleted volume.
func NFSMustRemove(pv *corev1.PersistentVolume, node string) bool {
	_, _, ours := NFSFolder(pv)
	return ours && nfsIsOver(pv) && pv.Annotations[NFSKeeper] == node && pv.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete
}

// NFSRelease is what becomes of a deleted volume: it goes when its data stays, or
// was never begun; otherwise a node that is ready is asked to remove it. Nil
// means that nothing changes.
func NFSRelease(pv *corev1.PersistentVolume, nodes []*corev1.Node) *corev1.PersistentVolume {
	if !nfsIsOver(pv) {
		return nil
	}
	_, _, ours := NFSFolder(pv)
	if !ours || pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || LocalMayBeginEmpty(pv) {
		changed := pv.DeepCopy()
		changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(f string) bool { return f == NFSFinalizer })
		return changed
	}
	able := slices.DeleteFunc(slices.Clone(nodes), func(n *corev1.Node) bool { return !NFSAble(n) })
	asked := pv.Annotations[NFSKeeper]
	if len(able) == 0 || slices.ContainsFunc(able, func(n *corev1.Node) bool { return n.Name == asked }) {
		return nil
	}
	first := slices.MinFunc(able, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	changed := pv.DeepCopy()
	metav1.SetMetaDataAnnotation(&changed.ObjectMeta, NFSKeeper, first.Name)
	return changed
}

// NFSAble tells whether a node can be asked to remove a volume.
func NFSAble(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// BuiltIn tells whether a provisioner is part of Berth.
func BuiltIn(provisioner string) bool {
	return provisioner == LocalProvisioner || provisioner == NFSProvisioner
}
