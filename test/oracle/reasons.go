package oracle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	plan "berth.dev/berth/internal/plan/statefulset"
)

// The reasons for which an answer of upstream 1.36 is not compared as it is; the
// package comment says what each means.
const (
	Completes137  = "1.37: an update completes whatever the strategy"
	Conditions137 = "1.37: foreign conditions stay"
	Parallel137   = "1.37: a Parallel rollout takes what is broken first"
	OwnCount      = "ours: only pods of the current revision are counted down"
	NoHistory     = "ours: a set that is deleted makes no revision"
	OwnedAtOnce   = "ours: a claim is made with its owner"
	OwnedWithPod  = "ours: claims follow a pod that is made"
	PastClaims    = "ours: a claim that goes holds up its own ordinal alone"
)

func (e *Expectation) use(reason string) { e.Used = append(e.Used, reason) }

func (e *Expectation) keepConditions(s *State, answer *Answer) error {
	for _, w := range answer.Writes {
		if w.Verb != "status" {
			continue
		}
		set := &appsv1.StatefulSet{}
		if err := json.Unmarshal(w.Object, set); err != nil {
			return err
		}
		if len(s.Set.Status.Conditions) > 0 {
			e.use(Conditions137)
		}
		e.After.Set.Status.Conditions = s.Set.Status.Conditions
	}
	return nil
}

// ownAtOnce gives the claims that upstream made their owner, when it did not come
// to that because the sync ended in an error.
func (e *Expectation) ownAtOnce(s *State, answer *Answer) {
	policy := s.Set.Spec.PersistentVolumeClaimRetentionPolicy
	if answer.Error == "" || policy.WhenDeleted != appsv1.DeletePersistentVolumeClaimRetentionPolicyType {
		return
	}
	for _, w := range answer.Writes {
		if w.Kind != claimKind || w.Verb != "create" {
			continue
		}
		if claim := e.After.claim(w.Name); len(claim.OwnerReferences) == 0 {
			claim.OwnerReferences = []metav1.OwnerReference{plan.SetRef(s.Set)}
			e.use(OwnedAtOnce)
		}
	}
}

// ownWithPod leaves the claims of a pod that the API would not let be made as they
// were: upstream sets their owner all the same.
func (e *Expectation) ownWithPod(s *State, answer *Answer) {
	for ordinal := s.start(); ordinal < s.end(); ordinal++ {
		name := plan.PodName(s.Set.Name, ordinal)
		if !strings.Contains(answer.Error, fmt.Sprintf("Pod %q is forbidden", name)) || s.pod(ordinal) != nil {
			continue
		}
		for _, claim := range s.claimsOf(ordinal) {
			if after := e.After.claim(claim.Name); !equality.Semantic.DeepEqual(after.OwnerReferences, claim.OwnerReferences) {
				after.OwnerReferences = claim.OwnerReferences
				e.use(OwnedWithPod)
			}
		}
	}
}

// ownCount gives back to currentReplicas what it was counted down by for pods
// that it had not counted.
func (e *Expectation) ownCount(s *State, answer *Answer) {
	status := &e.After.Set.Status
	if !s.rolls() || completed(s, status) {
		return
	}
	for _, w := range answer.Writes {
		ordinal := s.ordinal(w.Name)
		if w.Verb != "delete" || w.Kind != podKind || ordinal < s.start() || ordinal >= s.end() {
			continue
		}
		if pod := s.slots()[ordinal-s.start()]; pod != nil && !dead(pod) && revisionOf(pod) != status.CurrentRevision {
			status.CurrentReplicas++
			e.use(OwnCount)
		}
	}
}

// rollParallel adds what 1.37 deletes of a Parallel set that has a pod which is
// not available: all such pods of an old revision, and of the others as many as
// maxUnavailable leaves, the highest first.
func (e *Expectation) rollParallel(s *State) {
	if !s.parallel() || !s.rolls() || !s.broken() {
		return
	}
	e.use(Parallel137)
	status := &e.After.Set.Status
	partition, budget := s.mayRoll()
	slots, stuck := s.slots(), false
	old := func(pod *corev1.Pod) bool {
		return pod != nil && pod.DeletionTimestamp == nil && !dead(pod) && revisionOf(pod) != status.UpdateRevision
	}
	for _, pod := range slots {
		if s.unavailable(pod) {
			budget--
			stuck = stuck || pod != nil && pod.DeletionTimestamp == nil && revisionOf(pod) != status.UpdateRevision
		}
	}
	if budget <= 0 && !stuck {
		return
	}
	take := func(pod *corev1.Pod) {
		e.terminate(s, pod.Name)
		if revisionOf(pod) == status.CurrentRevision && !completed(s, status) {
			status.CurrentReplicas--
		}
	}
	for i := len(slots) - 1; i >= min(partition, len(slots)); i-- {
		switch pod := slots[i]; {
		case !old(pod):
		case !s.available(pod):
			take(pod)
		case budget > 0:
			budget--
			take(pod)
		}
	}
}

func (e *Expectation) terminate(s *State, name string) {
	for _, pod := range e.After.Pods {
		if pod.Name == name && pod.DeletionTimestamp == nil {
			pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &s.Now, pod.Spec.TerminationGracePeriodSeconds
		}
	}
}

func completed(s *State, status *appsv1.StatefulSetStatus) bool {
	all := *s.Set.Spec.Replicas
	return status.UpdatedReplicas == all && status.ReadyReplicas == all && status.Replicas == all
}

func (e *Expectation) complete(s *State) {
	status := &e.After.Set.Status
	if s.Set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType || !completed(s, status) {
		return
	}
	if status.CurrentReplicas != status.UpdatedReplicas || status.CurrentRevision != status.UpdateRevision {
		e.use(Completes137)
		if status.CollisionCount == nil { // 1.36 may not have written the status at all
			status.CollisionCount = new(int32)
		}
	}
	status.CurrentReplicas, status.CurrentRevision = status.UpdatedReplicas, status.UpdateRevision
}

// forgetHistory looks away from what upstream writes into the history of a set
// that is on its way out.
func (e *Expectation) forgetHistory(s *State, answer *Answer) {
	if s.Set.DeletionTimestamp == nil {
		return
	}
	wrote := func(w Write) bool { return w.Kind == revisionKind && w.Verb != "delete" }
	if e.After.Set.Status.UpdateRevision != s.Set.Status.UpdateRevision || slices.ContainsFunc(answer.Writes, wrote) {
		e.NoRevisions = true
		e.use(NoHistory)
	}
}

// pastClaims looks away from the ordinals of a Parallel set of which a claim is
// being deleted: upstream was asked as if it were not.
func (e *Expectation) pastClaims(s *State) {
	if !s.parallel() || s.Set.DeletionTimestamp != nil {
		return
	}
	for _, ordinal := range s.losing() {
		e.use(PastClaims)
		e.Blind[key{podKind, plan.PodName(s.Set.Name, ordinal)}] = true
		for i := range s.Set.Spec.VolumeClaimTemplates {
			e.Blind[key{claimKind, plan.ClaimName(s.Set.Spec.VolumeClaimTemplates[i].Name, s.Set.Name, ordinal)}] = true
		}
	}
}
