package pod

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
)

// shelf plays the endpoints of disruption budgets; it refuses the first
// conflicts updates.
type shelf struct {
	rest.Lister
	rest.Getter
	budgets   map[string]*policyv1.PodDisruptionBudget
	conflicts int
}

func (s *shelf) List(context.Context, *metainternalversion.ListOptions) (runtime.Object, error) {
	list := &policyv1.PodDisruptionBudgetList{}
	for _, b := range s.budgets {
		list.Items = append(list.Items, *b)
	}
	return list, nil
}

func (s *shelf) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	return s.budgets[name].DeepCopy(), nil
}

func (s *shelf) New() runtime.Object { return &policyv1.PodDisruptionBudget{} }
func (s *shelf) Destroy()            {}

func (s *shelf) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, _ rest.ValidateObjectUpdateFunc, _ bool, _ *metav1.UpdateOptions) (runtime.Object, bool, error) {
	if s.conflicts > 0 {
		s.conflicts--
		s.budgets[name].Status.DisruptionsAllowed-- // what the other writer did
		return nil, false, apierrors.NewConflict(schema.GroupResource{}, name, errors.New("changed"))
	}
	obj, err := info.UpdatedObject(ctx, s.budgets[name])
	s.budgets[name] = obj.(*policyv1.PodDisruptionBudget)
	return obj, false, err
}

func budgetOf(name string, allowed int32) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}},
		Status:     policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, DisruptionsAllowed: allowed, DesiredHealthy: 2, CurrentHealthy: 2 + allowed},
	}
}

func quick(t *testing.T) {
	was := conflicts
	conflicts.Duration = time.Millisecond
	t.Cleanup(func() { conflicts = was })
}

func TestSpend(t *testing.T) {
	quick(t)
	s := &shelf{budgets: map[string]*policyv1.PodDisruptionBudget{"web": budgetOf("web", 3)}, conflicts: 1}
	b := Budgets{Lister: s, Getter: s, Status: s}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-0", Labels: map[string]string{"app": "web"}}}
	spend := func(how *metav1.DeleteOptions) error {
		found, err := b.of(t.Context(), pod)
		if err != nil || len(found) != 1 {
			t.Fatalf("found %v, %v", found, err)
		}
		return b.spend(t.Context(), &found[0], pod.Name, how)
	}
	if err := spend(&metav1.DeleteOptions{DryRun: []string{"All"}}); err != nil || s.budgets["web"].Status.DisruptionsAllowed != 3 {
		t.Errorf("a dry run spends: %v", err)
	}
	if err := spend(&metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// One by the other writer, one by us.
	if now := s.budgets["web"].Status; now.DisruptionsAllowed != 1 || len(now.DisruptedPods) != 1 {
		t.Errorf("it becomes %+v", now)
	}
	if err := spend(&metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if c := s.budgets["web"].Status.Conditions; len(c) != 1 || c[0].Type != policyv1.DisruptionAllowedCondition || c[0].Status != metav1.ConditionFalse {
		t.Errorf("an empty budget says %+v", c)
	}
	err := spend(&metav1.DeleteOptions{})
	if !apierrors.IsTooManyRequests(err) || err.Error() != "Cannot evict pod as it would violate the pod's disruption budget." {
		t.Errorf("an empty budget: %v", err)
	}
	s.budgets["web"] = budgetOf("web", 100)
	s.conflicts = 100
	err = spend(&metav1.DeleteOptions{})
	if !apierrors.IsConflict(err) && !apierrors.IsTimeout(err) {
		t.Errorf("conflicts without end: %v", err)
	}
}

func TestAffordable(t *testing.T) {
	for want, change := range map[string]func(*policyv1.PodDisruptionBudget){
		"The disruption budget web is still being processed by the server.":                                func(b *policyv1.PodDisruptionBudget) { b.Generation = 2 },
		`poddisruptionbudget.policy "web" is forbidden: pdb disruptions allowed is negative`:               func(b *policyv1.PodDisruptionBudget) { b.Status.DisruptionsAllowed = -1 },
		"The disruption budget web needs 2 healthy pods and has 2 currently":                               func(b *policyv1.PodDisruptionBudget) {},
		"The disruption budget web does not allow evicting pods currently":                                 func(b *policyv1.PodDisruptionBudget) { b.Status.CurrentHealthy = 3 },
		"The disruption budget web does not allow evicting pods currently (Because): of this":              func(b *policyv1.PodDisruptionBudget) { b.Status.CurrentHealthy = 3; told(b, "Because") },
		"The disruption budget web does not allow evicting pods currently because it failed sync: of this": func(b *policyv1.PodDisruptionBudget) { told(b, policyv1.SyncFailedReason) },
		`poddisruptionbudget.policy "web" is forbidden: DisruptedPods map too big - too many evictions not confirmed by PDB controller`: func(b *policyv1.PodDisruptionBudget) {
			b.Status.DisruptedPods = map[string]metav1.Time{}
			for i := range mostDisrupted + 1 {
				b.Status.DisruptedPods[fmt.Sprint(i)] = metav1.Time{}
			}
		},
	} {
		b := budgetOf("web", 0)
		change(b)
		err := affordable(b)
		var status *apierrors.StatusError
		if !errors.As(err, &status) {
			t.Errorf("%s: %v", want, err)
			continue
		}
		got := status.Error()
		if d := status.ErrStatus.Details; len(d.Causes) > 0 {
			got = d.Causes[0].Message
			if d.Causes[0].Type != policyv1.DisruptionBudgetCause || status.ErrStatus.Code != 429 {
				t.Errorf("%s: %+v", want, status.ErrStatus)
			}
			if want := int32(10); strings.Contains(got, "processed") && d.RetryAfterSeconds != want {
				t.Errorf("%s: retry after %d", got, d.RetryAfterSeconds)
			}
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func told(b *policyv1.PodDisruptionBudget, reason string) {
	b.Status.Conditions = []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: reason, Message: "of this"}}
}

func TestUnhealthyMayGo(t *testing.T) {
	always := policyv1.AlwaysAllow
	for _, c := range []struct {
		desired, current int32
		policy           *policyv1.UnhealthyPodEvictionPolicyType
		want             bool
	}{{2, 2, nil, true}, {2, 1, nil, false}, {0, 0, nil, false}, {2, 1, &always, true}} {
		b := budgetOf("web", 0)
		b.Status.DesiredHealthy, b.Status.CurrentHealthy, b.Spec.UnhealthyPodEvictionPolicy = c.desired, c.current, c.policy
		if got := unhealthyMayGo(b); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
