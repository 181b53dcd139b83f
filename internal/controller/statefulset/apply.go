package statefulset

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/statefulset"
)

// apply carries a plan out, step by step, up to the first error, and returns what
// was done of it. It knows no policy: what a plan asks for twice is harmless to do
// twice.
func (s *pass) apply(ctx context.Context, p plan.Plan) (plan.Plan, error) {
	var mu sync.Mutex
	done := p
	done.Actions = make([]plan.Action, 0, len(p.Actions))
	for _, step := range steps(p.Actions) {
		err := loop.SlowStart(len(step), s.env.Parallel, func(i int) error {
			for _, action := range step[i] {
				err := s.patience.try(client.ObjectKeyFromObject(s.set), s.set.Generation, action, func() error { return s.act(ctx, action) })
				if err != nil {
					return err
				}
				mu.Lock()
				done.Actions = append(done.Actions, action)
				mu.Unlock()
			}
			return nil
		})
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// steps groups actions by step and in a step by ordinal.
func steps(actions []plan.Action) [][][]plan.Action {
	var all [][][]plan.Action
	for i, action := range actions {
		newStep := i == 0 || actions[i-1].Step != action.Step
		if newStep {
			all = append(all, nil)
		}
		step := &all[len(all)-1]
		if newStep || actions[i-1].Ordinal != action.Ordinal {
			*step = append(*step, nil)
		}
		group := &(*step)[len(*step)-1]
		*group = append(*group, action)
	}
	return all
}

func (s *pass) act(ctx context.Context, a plan.Action) error {
	switch a.Verb {
	case plan.CreateClaim:
		return s.createClaim(ctx, a)
	case plan.OwnClaim:
		return s.ownClaim(ctx, a)
	case plan.GrowClaim:
		return s.growClaim(ctx, a)
	case plan.CreatePod:
		return s.createPod(ctx, a)
	case plan.DeletePod:
		return s.deletePod(ctx, a)
	case plan.RepairPod:
		return s.repairPod(ctx, a)
	case plan.PullImages:
		return s.askForImages(ctx, a)
	case plan.PatchPod:
		return s.patchPod(ctx, a)
	case plan.GuardSet:
		return s.setGuard(ctx, true)
	case plan.UnguardSet:
		return s.setGuard(ctx, false)
	}
	return fmt.Errorf("plan asks for unknown verb %q", a.Verb)
}

func (s *pass) createClaim(ctx context.Context, a plan.Action) error {
	claim := plan.NewClaim(s.set, a.Template, a.Ordinal, a.Owner)
	err := s.write.Create(ctx, claim)
	if apierrors.IsAlreadyExists(err) {
		return nil // another one was quicker: whatever it is, it is used
	}
	s.claimEvent("Create", a, err)
	if err != nil {
		err = fmt.Errorf("failed to create PVC %s: %w", a.Claim, err)
		switch pod := s.pod(a.Ordinal); { // as upstream: what was to be done with the pod
		case pod == nil:
			s.podEvent("Create", a.Ordinal, err)
		case pod.Status.Phase != corev1.PodPending:
			s.podEvent("Update", a.Ordinal, err)
		}
	}
	return err
}

func (s *pass) ownClaim(ctx context.Context, a plan.Action) error {
	claim := s.claim(ctx, a.Claim)
	if claim == nil {
		return nil
	}
	s.warnOfConflict(a.Ordinal)
	claim = claim.DeepCopy()
	name := plan.PodName(s.set.Name, a.Ordinal)
	if pod := s.pod(a.Ordinal); pod != nil {
		claim.OwnerReferences = plan.OwnersOf(claim, s.set, name, pod, a.Owner)
	} else {
		claim.OwnerReferences = plan.OwnersOf(claim, s.set, name, nil, a.Owner)
	}
	err := s.write.Update(ctx, claim)
	if err == nil {
		return nil
	}
	conflict := apierrors.IsConflict(err)
	err = fmt.Errorf("could not update claim %s for delete policy ownerRefs: %w", a.Claim, err)
	if !conflict && s.state.Wants(a.Ordinal) { // upstream says nothing of surplus pods
		s.podEvent("Update", a.Ordinal, err)
	}
	return err
}

// growClaim lets a claim ask for the storage that its template asks for.
func (s *pass) growClaim(ctx context.Context, a plan.Action) error {
	claim := s.claim(ctx, a.Claim)
	if claim == nil {
		return nil
	}
	claim = claim.DeepCopy()
	if claim.Spec.Resources.Requests == nil {
		claim.Spec.Resources.Requests = corev1.ResourceList{}
	}
	claim.Spec.Resources.Requests[corev1.ResourceStorage] = *s.set.Spec.VolumeClaimTemplates[a.Template].Spec.Resources.Requests.Storage()
	err := s.write.Update(ctx, claim)
	if !apierrors.IsConflict(err) {
		s.claimEvent("Update", a, err)
	}
	if err != nil {
		return fmt.Errorf("grow claim %s: %w", a.Claim, err)
	}
	return nil
}

func (s *pass) createPod(ctx context.Context, a plan.Action) error {
	template, err := s.template(a.Revision)
	if err != nil {
		return err
	}
	if template, err = s.facts.Overrides.Apply(template, a.Ordinal); err != nil {
		return notAsked{fmt.Errorf("overrides of %s: %w", plan.PodName(s.set.Name, a.Ordinal), err)}
	}
	s.warnOfConflict(a.Ordinal)
	err = s.write.Create(ctx, plan.NewPod(s.set, template, a.Revision, a.Ordinal))
	if !apierrors.IsAlreadyExists(err) {
		s.podEvent("Create", a.Ordinal, err)
	}
	return err
}

func (s *pass) deletePod(ctx context.Context, a plan.Action) error {
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name, pod.UID = s.set.Namespace, plan.PodName(s.set.Name, a.Ordinal), a.UID
	if a.Evict {
		return s.evictPod(ctx, pod)
	}
	only := client.Preconditions{UID: &a.UID}
	if seen := s.pod(a.Ordinal); a.Exact && seen != nil {
		only.ResourceVersion = &seen.ResourceVersion
	}
	err := client.IgnoreNotFound(s.write.Delete(ctx, pod, only))
	if a.Exact && apierrors.IsConflict(err) {
		return err // it has changed: another look, no event
	}
	s.podEvent("Delete", a.Ordinal, err)
	return err
}

func (s *pass) repairPod(ctx context.Context, a plan.Action) error {
	pod := s.pod(a.Ordinal)
	if pod == nil {
		return nil
	}
	pod = pod.DeepCopy()
	if !plan.IdentityOK(pod) {
		plan.SetIdentity(pod, a.Ordinal)
	}
	if a.Volumes {
		plan.SetStorage(s.set, pod, a.Ordinal)
	}
	err := s.write.Update(ctx, pod)
	if !apierrors.IsConflict(err) {
		s.podEvent("Update", a.Ordinal, err)
	}
	return err
}

// podEvent records how a write of a pod ended, in upstream's words.
func (s *pass) podEvent(verb string, ordinal int, err error) {
	name := plan.PodName(s.set.Name, ordinal)
	if err == nil {
		s.env.Events.Event(s.set, corev1.EventTypeNormal, "Successful"+verb,
			fmt.Sprintf("%s Pod %s in StatefulSet %s successful", verb, name, s.set.Name))
		return
	}
	s.env.Events.Event(s.set, corev1.EventTypeWarning, "Failed"+verb,
		fmt.Sprintf("%s Pod %s in StatefulSet %s failed error: %s", verb, name, s.set.Name, err))
}

func (s *pass) claimEvent(verb string, a plan.Action, err error) {
	name := plan.PodName(s.set.Name, a.Ordinal)
	if err == nil {
		s.env.Events.Event(s.set, corev1.EventTypeNormal, "Successful"+verb,
			fmt.Sprintf("%s Claim %s Pod %s in StatefulSet %s success", verb, a.Claim, name, s.set.Name))
		return
	}
	s.env.Events.Event(s.set, corev1.EventTypeWarning, "Failed"+verb,
		fmt.Sprintf("%s Claim %s for Pod %s in StatefulSet %s failed error: %s", verb, a.Claim, name, s.set.Name, err))
}

// warnOfConflict says that a claim's other controller wins over the retention policy.
func (s *pass) warnOfConflict(ordinal int) {
	for _, claim := range s.state.Claims(ordinal) {
		if claim.Foreign {
			s.env.Events.Event(s.set, corev1.EventTypeWarning, "ConflictingController", fmt.Sprintf(
				"PersistentVolumeClaim %s has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim",
				claim.Name))
		}
	}
}
