package statefulset

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
	plan "berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
)

// pass is what one reconcile of one set has gathered so far.
type pass struct {
	env      loop.Env
	write    loop.Writer
	rules    plan.Rules
	set      *appsv1.StatefulSet
	selector labels.Selector
	owner    *owned.Owner
	pace     *pace
	patience *patience

	pods       []*corev1.Pod
	revisions  []*appsv1.ControllerRevision // oldest first
	current    *appsv1.ControllerRevision
	update     *appsv1.ControllerRevision
	collisions int32
	facts      plan.Facts
	state      plan.State
}

// asksFor is what the set's annotations say.
func asksFor(set *appsv1.StatefulSet) options.Options {
	asked, _ := options.Parse(set.Annotations)
	return asked
}

// gatherFacts returns what was gathered, as the planner wants it.
func (s *pass) gatherFacts(ctx context.Context) (plan.Facts, error) {
	budgets, err := s.budgets(ctx)
	if err != nil {
		return plan.Facts{}, err
	}
	overrides, problem, err := s.overrides(ctx)
	return plan.Facts{
		Overrides: overrides, OverridesError: problem,
		Budgets:  budgets,
		Template: s.templateOf,
		Set:      s.set,
		Pods:     s.pods,
		Current:  s.current.Name,
		Update:   s.update.Name,
		Now:      s.env.Clock.Now(),
		Claim:    func(name string) *corev1.PersistentVolumeClaim { return s.claim(ctx, name) },
	}, err
}

// claim returns a claim from the cache, nil when there is none.
func (s *pass) claim(ctx context.Context, name string) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{}
	if err := s.env.Cache.Get(ctx, client.ObjectKey{Namespace: s.set.Namespace, Name: name}, claim); err != nil {
		return nil
	}
	return claim
}

// pod returns the gathered pod of that ordinal, nil when there is none.
func (s *pass) pod(ordinal int) *corev1.Pod {
	name := plan.PodName(s.set.Name, ordinal)
	for _, pod := range s.pods {
		if pod.Name == name {
			return pod
		}
	}
	return nil
}

// gatherPods collects the set's pods. An orphan that belongs to the set is
// adopted, a pod that no longer does is released; changed says that one was.
func (s *pass) gatherPods(ctx context.Context) (changed bool, err error) {
	mine, orphans, err := owned.ListShared[*corev1.Pod](ctx, s.owner, &corev1.PodList{})
	if err != nil {
		return false, err
	}
	s.pods, changed, err = owned.Claim(ctx, s.owner, "Pod", mine, orphans, s.belongs)
	return changed, err
}

func (s *pass) belongs(pod *corev1.Pod) bool {
	return s.selector.Matches(labels.Set(pod.Labels)) && plan.Member(s.set, pod.Name)
}
