package statefulset

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
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

	pods       []*corev1.Pod
	revisions  []*appsv1.ControllerRevision // oldest first
	current    *appsv1.ControllerRevision
	update     *appsv1.ControllerRevision
	collisions int32
	facts      plan.Facts
	state      plan.State

	adoptable *error // the answer of the live check, once asked
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
	owned, orphans, err := listOwned(ctx, s, &corev1.PodList{}, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	if err != nil {
		return false, err
	}
	for _, pod := range owned {
		switch {
		case s.belongs(pod):
			s.pods = append(s.pods, pod)
		case s.set.DeletionTimestamp == nil:
			changed = true
			if err := s.release(ctx, pod); err != nil {
				return changed, err
			}
		}
	}
	for _, pod := range orphans {
		if !s.belongs(pod) || pod.DeletionTimestamp != nil || s.set.DeletionTimestamp != nil {
			continue
		}
		changed = true
		if err := s.adopt(ctx, "Pod", pod); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

func (s *pass) belongs(pod *corev1.Pod) bool {
	return s.selector.Matches(labels.Set(pod.Labels)) && plan.Member(s.set, pod.Name)
}

// listOwned lists the objects of one kind that the set controls and those that
// nobody controls, in the set's namespace.
func listOwned[T any, L client.ObjectList](ctx context.Context, s *pass, list L, items func(L) []T) (owned, orphans []*T, err error) {
	for _, part := range []struct {
		owner string
		into  *[]*T
	}{{string(s.set.UID), &owned}, {loop.NoOwner, &orphans}} {
		found := list.DeepCopyObject().(L)
		if err := s.env.Cache.List(ctx, found, client.InNamespace(s.set.Namespace), client.MatchingFields{loop.OwnerUID: part.owner}); err != nil {
			return nil, nil, err
		}
		all := items(found)
		for i := range all {
			*part.into = append(*part.into, &all[i])
		}
	}
	return owned, orphans, nil
}
