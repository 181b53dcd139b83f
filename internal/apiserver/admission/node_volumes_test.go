package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	volumehelper "k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
)

// A node gives up the deleted local volumes that it holds, and changes no others.
func TestNodeRestrictionOfVolumes(t *testing.T) {
	s := newSetup(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelHostname: "n1"}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "liar", Labels: map[string]string{corev1.LabelHostname: "n1"}}})
	local := func(host string, change func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
		v := &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "v", Finalizers: []string{volume.LocalFinalizer, "other"}, DeletionTimestamp: ptr.To(metav1.Unix(1, 0))},
			Spec: corev1.PersistentVolumeSpec{NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{host}}},
			}}}}},
			Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeReleased},
		}
		if change != nil {
			change(v)
		}
		return v
	}
	free := func(v *corev1.PersistentVolume) { v.Finalizers = []string{"other"} }
	unused := func(v *corev1.PersistentVolume) {
		v.Annotations = map[string]string{volume.LocalBegin: volume.LocalBeginEmpty, volume.LocalGrowing: "1Gi"}
	}
	limited := func(v *corev1.PersistentVolume) {
		v.Annotations = map[string]string{volume.LocalSizeLimit: volume.LocalHeld}
	}
	nfs := func(keeper string, change func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
		v := local("n1", nil)
		v.Name, v.Spec.NodeAffinity, v.Finalizers = "pvc-1", nil, []string{volume.NFSFinalizer, "other"}
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		v.Annotations = map[string]string{volumehelper.AnnDynamicallyProvisioned: volume.NFSProvisioner, volume.NFSKeeper: keeper}
		v.Spec.NFS = &corev1.NFSVolumeSource{Server: "s", Path: "/share/pvc-1"}
		if change != nil {
			change(v)
		}
		return v
	}
	unusedNFS := func(v *corev1.PersistentVolume) { v.Annotations[volume.LocalBegin] = volume.LocalBeginEmpty }
	const server = "may only begin an NFS volume, and give up a deleted one that it was asked to remove"
	const last = "may only take the finalizer berth.dev/local-volume from a deleted local volume"
	for name, c := range map[string]struct {
		r       request
		refusal string
	}{
		"its own":         {request{obj: local("n1", free), old: local("n1", nil)}, ""},
		"another's":       {request{obj: local("n2", free), old: local("n2", nil)}, `may only give up local volumes of node "n1"`},
		"a liar":          {request{user: "system:node:liar", obj: local("n1", free), old: local("n1", nil)}, `may only give up local volumes of node "liar"`},
		"all finalizers":  {request{obj: local("n1", func(v *corev1.PersistentVolume) { v.Finalizers = nil }), old: local("n1", nil)}, last},
		"more than that":  {request{obj: local("n1", func(v *corev1.PersistentVolume) { free(v); v.Spec.StorageClassName = "x" }), old: local("n1", nil)}, last},
		"moved to itself": {request{obj: local("n1", nil), old: local("n2", nil)}, `may only give up local volumes of node "n1"`},
		"not deleted": {request{
			obj: local("n1", func(v *corev1.PersistentVolume) { free(v); v.DeletionTimestamp = nil }),
			old: local("n1", func(v *corev1.PersistentVolume) { v.DeletionTimestamp = nil }),
		}, last},
		"bound": {request{
			obj: local("n1", func(v *corev1.PersistentVolume) { free(v); v.Status.Phase = corev1.VolumeBound }),
			old: local("n1", func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeBound }),
		}, last},
		"begun":              {request{obj: local("n1", nil), old: local("n1", unused)}, ""},
		"another's begun":    {request{obj: local("n2", nil), old: local("n2", unused)}, `may only give up local volumes of node "n1"`},
		"begun with a limit": {request{obj: local("n1", limited), old: local("n1", unused)}, ""},
		"another's limit":    {request{obj: local("n2", limited), old: local("n2", nil)}, `may only give up local volumes of node "n1"`},
		"without its limit":  {request{obj: local("n1", nil), old: local("n1", limited)}, last},
		"begun again":        {request{obj: local("n1", unused), old: local("n1", nil)}, last},
		"begun and more":     {request{obj: local("n1", func(v *corev1.PersistentVolume) { v.Labels = map[string]string{"a": "b"} }), old: local("n1", unused)}, last},
		"NFS begun":          {request{obj: nfs("n1", nil), old: nfs("n1", unusedNFS)}, ""},
		"NFS removed":        {request{obj: nfs("n1", free), old: nfs("n1", nil)}, ""},
		"NFS of others":      {request{obj: nfs("n2", free), old: nfs("n2", nil)}, server},
		"NFS begun again":    {request{obj: nfs("n1", unusedNFS), old: nfs("n1", nil)}, server},
		"NFS sent to itself": {request{obj: nfs("n1", nil), old: nfs("n2", nil)}, server},
		"made":               {request{op: admission.Create, obj: local("n1", nil)}, "may only give up deleted local volumes"},
	} {
		t.Run(name, func(t *testing.T) {
			c.r.resource, c.r.groups = "persistentvolumes", []string{"system:nodes"}
			if c.r.op == "" {
				c.r.op = admission.Update
			}
			if c.r.user == "" {
				c.r.user = "system:node:n1"
			}
			expect(t, s.do(t, c.r), c.refusal)
		})
	}
}
