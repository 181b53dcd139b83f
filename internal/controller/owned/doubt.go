package owned

import (
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Doubts are the workloads of which a create failed, perhaps after it was done:
// where one pod too many does harm, the next one is not made on the word of the
// cache.
type Doubts struct {
	mu   sync.Mutex
	keys map[types.NamespacedName]bool
}

// NewDoubts returns an empty memory.
func NewDoubts() *Doubts { return &Doubts{keys: map[types.NamespacedName]bool{}} }

// Failed notes that a create of the workload failed.
func (d *Doubts) Failed(key types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[key] = true
}

// Forget ends the doubt: all is seen, or the workload is gone.
func (d *Doubts) Forget(key types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.keys, key)
}

func (d *Doubts) has(key types.NamespacedName) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[key]
}

// Settled reports whether the workload may make pods: no create of it failed, or
// the API server has no pod of it that is not among those seen.
func (d *Doubts) Settled(ctx context.Context, key types.NamespacedName, o *Owner, selector labels.Selector, seen []*corev1.Pod) (bool, error) {
	if !d.has(key) {
		return true, nil
	}
	var live corev1.PodList
	if err := o.env.Live.List(ctx, &live, client.InNamespace(key.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return false, err
	}
	for i := range live.Items {
		pod := &live.Items[i]
		if metav1.IsControlledBy(pod, o.object) && !slices.ContainsFunc(seen, func(s *corev1.Pod) bool { return s.UID == pod.UID }) {
			return false, nil
		}
	}
	d.Forget(key)
	return true, nil
}
