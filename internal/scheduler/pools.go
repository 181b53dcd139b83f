package scheduler

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// addresses says on which nodes a pod can have its addresses; nil is on all.
func (s *scheduler) addresses(ctx context.Context, pod *corev1.Pod) (func(*corev1.Node) bool, error) {
	list, err := loop.List[*spiderpoolv2beta1.SpiderIPPool](ctx, s.env.Cache, &spiderpoolv2beta1.SpiderIPPoolList{})
	if err != nil {
		return nil, err
	}
	pools := make(map[string]*spiderpoolv2beta1.SpiderIPPool, len(list))
	for _, p := range list {
		pools[p.Name] = p
	}
	namespace := &corev1.Namespace{}
	if ok, err := find(ctx, s.env.Cache, types.NamespacedName{Name: pod.Namespace}, namespace); err != nil || !ok {
		namespace.Name = pod.Namespace
	}
	return address.Nodes(pod, namespace, pools, "eth0"), nil
}

// onAddressPool wakes for what places pods; who holds which address does not.
func (s *scheduler) onAddressPool(ev loop.Event) []*corev1.Pod {
	if ev.Old != nil && ev.New != nil {
		old, pool := ev.Old.(*spiderpoolv2beta1.SpiderIPPool), ev.New.(*spiderpoolv2beta1.SpiderIPPool)
		if equality.Semantic.DeepEqual(old.Spec, pool.Spec) {
			return nil
		}
	}
	return s.onOther(ev)
}
