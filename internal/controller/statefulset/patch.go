package statefulset

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	plan "berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/inplace"
)

// patchPod brings a pod to another revision in place. Its resources come first
// and its revision last, so that a pod that is half done is taken up again.
func (s *pass) patchPod(ctx context.Context, a plan.Action) error {
	pod := s.pod(a.Ordinal)
	if pod == nil || pod.UID != a.UID {
		return nil
	}
	from, to := s.facts.Rendered(plan.RevisionOf(s.set.Name, pod), a.Ordinal), s.facts.Rendered(a.Revision, a.Ordinal)
	if from == nil || to == nil {
		return fmt.Errorf("update %s in place: the template of its revision is gone", pod.Name)
	}
	next := pod.DeepCopy()
	err := error(nil)
	if inplace.Resize(next, to) {
		err = s.write.SubResource("resize").Update(ctx, next)
	}
	if err == nil {
		err = inplace.Apply(next, from, to, plan.RevisionLabel(s.set.Name, a.Revision))
	}
	if err == nil {
		err = s.write.Update(ctx, next)
	}
	if !apierrors.IsConflict(err) {
		s.podEvent("Update", a.Ordinal, err)
	}
	return err
}
