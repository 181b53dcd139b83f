package disruption

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth.dev/berth/internal/plan/podready"
)

// DeletionTimeout is how long an evicted pod may take to be seen ending.
const DeletionTimeout = 2 * time.Minute

// State is a budget and what is known about its pods.
type State struct {
	Budget *policyv1.PodDisruptionBudget
	Pods   []*corev1.Pod // those that the budget selects
	// Scales are how many pods the controllers want that Controllers named, by
	// the pod's controller; controllers of one Deployment share a Target.
	Scales map[types.UID]Scale
	// Before are the pods that were there at the last look, by name.
	Before map[string]types.UID
	Now    time.Time
}

// Scale is how many pods a controller wants.
type Scale struct {
	Target   types.UID // whom the number belongs to
	Replicas int32
}

// Plan is what the budget's status should say.
type Plan struct {
	Status policyv1.PodDisruptionBudgetStatus
	// Changed: the status says something new.
	Changed bool
	// Unmanaged are pods without a controller, where the budget needs one.
	Unmanaged []string
	// NotDeleted are pods that were evicted and did not go.
	NotDeleted []*corev1.Pod
	// Again: an eviction runs out then.
	Again time.Duration
}

// Controllers are the controllers whose scale the budget is a share of, one
// entry for each pod's controller, without repetition.
func Controllers(budget *policyv1.PodDisruptionBudget, pods []*corev1.Pod) []*metav1.OwnerReference {
	if !bySharing(budget) {
		return nil
	}
	seen := map[types.UID]bool{}
	var all []*metav1.OwnerReference
	for _, pod := range pods {
		if ref := metav1.GetControllerOfNoCopy(pod); ref != nil && !seen[ref.UID] {
			seen[ref.UID] = true
			all = append(all, ref)
		}
	}
	return all
}

// bySharing says that the budget is a share of what controllers want.
func bySharing(budget *policyv1.PodDisruptionBudget) bool {
	least := budget.Spec.MinAvailable
	return budget.Spec.MaxUnavailable != nil || least != nil && least.Type == intstr.String
}

// Decide returns what the status should say. An error is one that only a change
// of the budget or of its pods can mend; Failed makes a status of it.
func Decide(s State) (Plan, error) {
	var p Plan
	expected, desired, err := s.wanted(&p)
	if err != nil {
		return Plan{}, err
	}
	disrupted := s.disrupted(&p)
	healthy := int32(0)
	for _, pod := range s.Pods {
		if _, going := disrupted[pod.Name]; !going && pod.DeletionTimestamp == nil && podready.Ready(pod) {
			healthy++
		}
	}
	// A budget that expects no pods lets none go: its first pods may be on their way.
	allowed := max(healthy-desired, 0)
	if expected <= 0 {
		allowed = 0
	}
	old := &s.Budget.Status
	p.Status = policyv1.PodDisruptionBudgetStatus{
		CurrentHealthy: healthy, DesiredHealthy: desired, ExpectedPods: expected,
		DisruptionsAllowed: allowed, DisruptedPods: disrupted,
		ObservedGeneration: s.Budget.Generation,
		Conditions:         slices.Clone(old.Conditions),
	}
	condition := metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason,
		ObservedGeneration: s.Budget.Generation, LastTransitionTime: metav1.NewTime(s.Now),
	}
	if allowed > 0 {
		condition.Status, condition.Reason = metav1.ConditionTrue, policyv1.SufficientPodsReason
	}
	if had := meta.FindStatusCondition(old.Conditions, condition.Type); had == nil || had.Status != condition.Status ||
		had.Reason != condition.Reason || old.ObservedGeneration != s.Budget.Generation || !sameNumbers(old, &p.Status) {
		meta.SetStatusCondition(&p.Status.Conditions, condition)
		p.Changed = true
	}
	return p, nil
}

func sameNumbers(a, b *policyv1.PodDisruptionBudgetStatus) bool {
	return a.CurrentHealthy == b.CurrentHealthy && a.DesiredHealthy == b.DesiredHealthy && a.ExpectedPods == b.ExpectedPods &&
		a.DisruptionsAllowed == b.DisruptionsAllowed && equality.Semantic.DeepEqual(a.DisruptedPods, b.DisruptedPods)
}

// Failed is the status of a budget that cannot be counted: nothing may go.
func Failed(budget *policyv1.PodDisruptionBudget, err error, now time.Time) (status policyv1.PodDisruptionBudgetStatus, changed bool) {
	status = *budget.Status.DeepCopy()
	status.DisruptionsAllowed = 0
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason,
		Message: err.Error(), ObservedGeneration: status.ObservedGeneration, LastTransitionTime: metav1.NewTime(now),
	})
	return status, !equality.Semantic.DeepEqual(&status, &budget.Status)
}

// wanted is how many pods the budget expects and how many of them must be healthy.
func (s State) wanted(p *Plan) (expected, desired int32, err error) {
	least, most := s.Budget.Spec.MinAvailable, s.Budget.Spec.MaxUnavailable
	if !bySharing(s.Budget) {
		if least == nil {
			return 0, 0, nil
		}
		return int32(len(s.Pods)), least.IntVal, nil
	}
	if expected, err = s.scale(p); err != nil {
		return 0, 0, err
	}
	if most == nil {
		n, err := intstr.GetScaledValueFromIntOrPercent(least, int(expected), true)
		return expected, int32(n), err
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(most, int(expected), true)
	return expected, max(expected-int32(n), 0), err
}

// scale adds up what the pods' controllers want.
func (s State) scale(p *Plan) (int32, error) {
	targets := map[types.UID]int32{}
	for _, pod := range s.Pods {
		ref := metav1.GetControllerOfNoCopy(pod)
		if ref == nil {
			p.Unmanaged = append(p.Unmanaged, pod.Name)
			continue
		}
		found, ok := s.Scales[ref.UID]
		if !ok {
			return 0, fmt.Errorf("found no controllers for pod %q", pod.Name)
		}
		targets[found.Target] = found.Replicas
	}
	sum := int32(0)
	for replicas := range maps.Values(targets) {
		sum += replicas
	}
	return sum, nil
}

// disrupted are the pods that were evicted and are still to go.
func (s State) disrupted(p *Plan) map[string]metav1.Time {
	still := map[string]metav1.Time{}
	for _, pod := range s.Pods {
		at, evicted := s.Budget.Status.DisruptedPods[pod.Name]
		if !evicted || pod.DeletionTimestamp != nil || s.replaced(pod, at.Time) {
			continue
		}
		if left := at.Add(DeletionTimeout).Sub(s.Now); left < 0 {
			p.NotDeleted = append(p.NotDeleted, pod)
		} else if left++; p.Again == 0 || left < p.Again {
			p.Again = left // just after the last moment
		}
		if !at.Add(DeletionTimeout).Before(s.Now) {
			still[pod.Name] = at
		}
	}
	return still
}

// replaced says that the evicted pod of this name has gone and this is another
// one. Upstream waits for the entry to run out when it has missed the moment
// between the two, which is common where pods keep their names.
func (s State) replaced(pod *corev1.Pod, at time.Time) bool {
	created := pod.CreationTimestamp.Time
	if created.After(at) {
		return true
	}
	// Both times are whole seconds: within one, another pod than last time will do.
	before, known := s.Before[pod.Name]
	return known && before != pod.UID && !created.Before(at.Truncate(time.Second))
}
