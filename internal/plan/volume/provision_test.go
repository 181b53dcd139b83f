package volume

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
)

func TestProvision(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: "n1", Labels: map[string]string{corev1.LabelHostname: "host1"},
		Annotations: map[string]string{VolumesDirAnnotation: "/data/volumes"},
	}}
	c := claim("c", ofClass("local"), func(c *corev1.PersistentVolumeClaim) { c.Annotations = map[string]string{volume.AnnSelectedNode: "n1"} })
	state := ProvisionState{Claim: c, Class: storageClass("local", LocalProvisioner, wait), Nodes: []*corev1.Node{node}}

	v := Provision(state).Volume
	if v == nil || v.Name != "pvc-c-uid" || v.Spec.Local.Path != "/data/volumes/pvc-c-uid" || v.Spec.ClaimRef.UID != c.UID {
		t.Fatalf("got %+v", v)
	}
	if path, ours := LocalDirectory(v, "/data/volumes", "host1"); !ours || path != v.Spec.Local.Path {
		t.Errorf("the node does not know its own volume: %q %v", path, ours)
	}
	if _, ours := LocalDirectory(v, "/data/volumes", "host2"); ours {
		t.Error("another node takes the volume for its own")
	}

	gone := state
	gone.Nodes = nil
	if plan := Provision(gone); plan.Claim == nil || plan.Claim.Annotations[volume.AnnSelectedNode] != "" {
		t.Errorf("node gone: %+v", plan)
	}
	unselected := state
	unselected.Claim = claim("c", ofClass("local"))
	if plan := Provision(unselected); plan.Volume != nil || plan.Hold == "" {
		t.Errorf("nobody chose a node: %+v", plan)
	}
	unselected.Class = storageClass("local", LocalProvisioner, immediate)
	if plan := Provision(unselected); plan.Volume == nil {
		t.Errorf("immediate class: %+v", plan)
	}
	if *v.Spec.VolumeMode != corev1.PersistentVolumeFilesystem {
		t.Errorf("%s when nothing is said", *v.Spec.VolumeMode)
	}
	blocks := state
	blocks.Claim = c.DeepCopy()
	blocks.Claim.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock)
	if v := Provision(blocks).Volume; v == nil || *v.Spec.VolumeMode != corev1.PersistentVolumeBlock {
		t.Errorf("blocks: %+v", v)
	}
	exists := state
	exists.Exists = true
	if plan := Provision(exists); plan.Volume != nil {
		t.Error("made twice")
	}
}

func TestLocalDirectoryRefusesForeignPaths(t *testing.T) {
	good := func() *corev1.PersistentVolume {
		v := pv("pvc-1", "1Gi")
		v.Annotations = map[string]string{volume.AnnDynamicallyProvisioned: LocalProvisioner}
		v.Spec.Local = &corev1.LocalVolumeSource{Path: "/v/pvc-1"}
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"h"}}},
		}}}}
		return v
	}
	if _, ok := LocalDirectory(good(), "/v", "h"); !ok {
		t.Fatal("refuses its own")
	}
	for name, spoil := range map[string]func(*corev1.PersistentVolume){
		"path elsewhere":    func(v *corev1.PersistentVolume) { v.Spec.Local.Path = "/etc" },
		"path with dots":    func(v *corev1.PersistentVolume) { v.Spec.Local.Path = "/v/../v/pvc-1" },
		"path below":        func(v *corev1.PersistentVolume) { v.Spec.Local.Path = "/v/pvc-1/x" },
		"not provisioned":   func(v *corev1.PersistentVolume) { v.Annotations = nil },
		"someone else's":    func(v *corev1.PersistentVolume) { v.Annotations[volume.AnnDynamicallyProvisioned] = "x" },
		"name not ours":     func(v *corev1.PersistentVolume) { v.Name = "data"; v.Spec.Local.Path = "/v/data" },
		"host path instead": func(v *corev1.PersistentVolume) { v.Spec.Local = nil },
	} {
		v := good()
		spoil(v)
		if _, ok := LocalDirectory(v, "/v", "h"); ok {
			t.Errorf("%s: taken for ours", name)
		}
	}
}
