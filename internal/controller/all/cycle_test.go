package all_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/sim"
)

// Objects that own each other stay while nobody deletes one, and go together
// when somebody does, also when each is to wait for the other.
func TestOwnersInACircle(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationBackground} {
		for seed := range uint64(5) {
			s := cluster(t, seed, sim.Faults{})
			names := []string{"a", "b", "c"}
			for _, name := range names {
				s.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}})
			}
			get := func(name string) (*corev1.ConfigMap, error) {
				c := &corev1.ConfigMap{}
				err := s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, c)
				return c.DeepCopy(), err
			}
			for i, name := range names {
				owner, err := get(names[(i+1)%len(names)])
				must(t, err)
				owned, err := get(name)
				must(t, err)
				owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, BlockOwnerDeletion: ptr.To(true)}}
				must(t, s.API().Update(t.Context(), owned))
			}
			must(t, s.Settle(5000))
			for _, name := range names {
				_, err := get(name)
				must(t, err)
			}
			a, err := get("a")
			must(t, err)
			must(t, s.API().Delete(t.Context(), a, client.PropagationPolicy(policy)))
			must(t, s.Settle(5000))
			for _, name := range names {
				if c, err := get(name); err == nil {
					t.Errorf("%s, seed %d: %s stays: %v", policy, seed, name, c.ObjectMeta)
				}
			}
		}
	}
}
