package statefulset

import (
	"bytes"
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/controller/owned"
	"berth.dev/berth/internal/plan/revision"
	plan "berth.dev/berth/internal/plan/statefulset"
)

// gatherRevisions collects the set's revisions and adopts orphans that match, so
// that history goes on after a set is made anew over what it left.
func (s *pass) gatherRevisions(ctx context.Context) error {
	mine, orphans, err := owned.ListShared[*appsv1.ControllerRevision](ctx, s.owner, &appsv1.ControllerRevisionList{})
	if err != nil {
		return err
	}
	s.revisions = mine
	for _, rev := range orphans {
		if !s.selector.Matches(labels.Set(rev.Labels)) {
			continue
		}
		if s.set.DeletionTimestamp == nil {
			rev = rev.DeepCopy() // as it is once adopted: it may be renumbered in this pass
			if err := s.owner.Adopt(ctx, "ControllerRevision", rev); err != nil {
				return err
			}
		}
		s.revisions = append(s.revisions, rev)
	}
	revision.Sort(s.revisions)
	return nil
}

// settleRevisions finds or makes the revision of the set's template, and the one
// that the set comes from.
func (s *pass) settleRevisions(ctx context.Context) error {
	s.collisions = ptr.Deref(s.set.Status.CollisionCount, 0)
	if err := s.settleUpdate(ctx); err != nil {
		return err
	}
	s.current = revision.Named(s.revisions, s.set.Status.CurrentRevision)
	if s.current == nil {
		s.current = s.update
	}
	return nil
}

func (s *pass) settleUpdate(ctx context.Context) error {
	if s.update = s.knownUpdate(); s.update != nil {
		return nil
	}
	want, err := revision.New(s.set, plan.SetRef(s.set), &s.set.Spec.Template, 0, s.collisions)
	if err != nil {
		return err
	}
	decided := revision.Decide(want, s.revisions, defaults.PodTemplateSpec)
	if s.set.DeletionTimestamp != nil && decided.Verb != revision.Keep {
		s.update = &appsv1.ControllerRevision{} // the collector is taking history away: do not make it anew
		s.update.Name = s.set.Status.UpdateRevision
		return nil
	}
	switch decided.Verb {
	case revision.Create:
		s.update, err = s.createRevision(ctx, decided.Update)
	case revision.Renumber:
		s.update = decided.Update.DeepCopy()
		s.update.Revision = decided.Number
		err = s.write.Update(ctx, s.update)
	default:
		s.update = decided.Update
	}
	return err
}

// knownUpdate spares encoding the template while nothing has changed: the
// status names the revision of this very generation, and it is the newest.
func (s *pass) knownUpdate() *appsv1.ControllerRevision {
	if s.set.Status.ObservedGeneration != s.set.Generation || len(s.revisions) == 0 {
		return nil
	}
	newest := s.revisions[len(s.revisions)-1]
	if newest.Name != s.set.Status.UpdateRevision {
		return nil
	}
	return newest
}

// createRevision stores a revision. One of that name with the same data is as
// good; one with other data means another hash is needed.
func (s *pass) createRevision(ctx context.Context, want *appsv1.ControllerRevision) (*appsv1.ControllerRevision, error) {
	for {
		created := want.DeepCopy()
		err := s.write.Create(ctx, created)
		if err == nil {
			return created, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
		existing := &appsv1.ControllerRevision{}
		if err := s.env.Live.Get(ctx, client.ObjectKeyFromObject(want), existing); err != nil {
			return nil, err
		}
		if bytes.Equal(existing.Data.Raw, want.Data.Raw) {
			return existing, nil
		}
		s.collisions++
		revision.Rename(want, s.set.Name, s.collisions)
	}
}

// template returns the pod template of a revision.
func (s *pass) template(name string) (*corev1.PodTemplateSpec, error) {
	if name == s.update.Name {
		return &s.set.Spec.Template, nil
	}
	return revision.Template(s.current)
}

// templateOf returns the template of any revision that still exists, or nil.
func (s *pass) templateOf(name string) *corev1.PodTemplateSpec {
	if name == s.update.Name {
		return &s.set.Spec.Template
	}
	rev := revision.Named(s.revisions, name)
	if rev == nil {
		return nil
	}
	template, err := revision.Template(rev)
	if err != nil {
		return nil
	}
	return template
}

// cutHistory deletes revisions that nothing uses beyond the limit.
func (s *pass) cutHistory(ctx context.Context) error {
	limit := ptr.Deref(s.set.Spec.RevisionHistoryLimit, 10)
	if limit < 0 || len(s.revisions) <= int(limit) {
		return nil
	}
	used := sets.New(s.current.Name, s.update.Name)
	for _, pod := range s.pods {
		used.Insert(plan.RevisionOf(s.set.Name, pod))
	}
	for _, rev := range revision.Excess(s.revisions, used, limit) {
		err := s.write.Delete(ctx, rev, client.Preconditions{UID: &rev.UID})
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}
