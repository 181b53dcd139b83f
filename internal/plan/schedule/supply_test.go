package schedule

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

func drawVolume(t *rapid.T, i int) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("pv-", i)}}
	pv.Spec.StorageClassName = rapid.SampledFrom([]string{"local", "other"}).Draw(t, "class")
	pv.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(int64(10*rapid.IntRange(1, 3).Draw(t, "size")+i%10), resource.DecimalSI)}
	pv.Spec.AccessModes = rapid.SampledFrom([][]corev1.PersistentVolumeAccessMode{{corev1.ReadWriteOnce}, {corev1.ReadOnlyMany}}).Draw(t, "modes")
	pv.Status.Phase = rapid.SampledFrom([]corev1.PersistentVolumePhase{corev1.VolumeAvailable, corev1.VolumeAvailable, corev1.VolumeReleased}).Draw(t, "phase")
	if name := rapid.SampledFrom([]string{"", "", "", "mine", "another"}).Draw(t, "holder"); name != "" {
		pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "default", Name: name}
	}
	var terms []corev1.NodeSelectorTerm
	for range rapid.IntRange(0, 2).Draw(t, "terms") {
		var term corev1.NodeSelectorTerm
		for range rapid.IntRange(0, 2).Draw(t, "expressions") {
			key := rapid.SampledFrom([]string{corev1.LabelHostname, corev1.LabelHostname, corev1.LabelTopologyZone}).Draw(t, "key")
			value := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "value")
			op := rapid.SampledFrom([]corev1.NodeSelectorOperator{corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn}).Draw(t, "operator")
			term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{Key: key, Operator: op, Values: []string{value}})
		}
		terms = append(terms, term)
	}
	if rapid.Bool().Draw(t, "affine") {
		pv.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: terms}}
	}
	return pv
}

// A claim gets on each node the volume that upstream's search through all of
// them finds, and bound ones can be used where upstream says so.
func TestSupplyIsUpstreams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "mine", UID: "u"}}
		claim.Spec.StorageClassName, claim.Spec.AccessModes = ptr.To("local"), []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(20, resource.DecimalSI)}
		var all []*corev1.PersistentVolume
		reserved := 0
		for i := range rapid.IntRange(0, 9).Draw(t, "volumes") {
			pv := drawVolume(t, i)
			if ref := pv.Spec.ClaimRef; ref != nil && ref.Name == claim.Name {
				if reserved++; reserved > 1 {
					continue // which of several is upstream's first is chance
				}
			}
			all = append(all, pv)
		}
		s := supplyFor(claim, all)
		for _, labels := range []map[string]string{
			{corev1.LabelHostname: "a", corev1.LabelTopologyZone: "a"},
			{corev1.LabelHostname: "b", corev1.LabelTopologyZone: "a"},
			{corev1.LabelHostname: "c"},
			{corev1.LabelTopologyZone: "b"},
			nil,
		} {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: labels}}
			want, err := volume.FindMatchingVolume(claim, all, node, nil, true, true)
			if err != nil {
				t.Fatal(err)
			}
			got, err := volume.FindMatchingVolume(claim, s.at(node), nil, nil, false, true)
			if err != nil {
				t.Fatal(err)
			}
			if (want == nil) != (got == nil) || want != nil && want.Spec.Capacity.Storage().Cmp(*got.Spec.Capacity.Storage()) != 0 {
				t.Fatalf("on %v: %v, upstream finds %v", labels, got, want)
			}
			for _, pv := range all {
				if can, upstream := reaches(whereOf(pv), node), volume.CheckNodeAffinity(pv, labels) == nil; can != upstream {
					t.Fatalf("%v on %v: %t, upstream says %t", pv.Spec.NodeAffinity, labels, can, upstream)
				}
			}
		}
	})
}
