package daemonset

import (
	"bytes"
	"context"
	"encoding/json"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/controller/owned"
	plan "berth.dev/berth/internal/plan/daemonset"
	"berth.dev/berth/internal/plan/revision"
)

// gatherRevisions collects the set's revisions, oldest first; changed says that
// one was taken in, given up or labeled, and that the event of it wakes us.
func (p *pass) gatherRevisions(ctx context.Context) (changed bool, err error) {
	mine, orphans, err := owned.ListShared[*appsv1.ControllerRevision](ctx, p.owner, &appsv1.ControllerRevisionList{})
	if err != nil {
		return false, err
	}
	p.revisions, changed, err = owned.Claim(ctx, p.owner, "ControllerRevision", mine, orphans, func(rev *appsv1.ControllerRevision) bool {
		return p.selector.Matches(labels.Set(rev.Labels))
	})
	if err != nil || changed {
		return changed, err
	}
	for _, rev := range p.revisions {
		if _, has := rev.Labels[plan.HashLabel]; !has { // its name is as good as a hash
			changed = true
			if err := p.label(ctx, rev.DeepCopy(), rev.Name); err != nil {
				return changed, err
			}
		}
	}
	revision.Sort(p.revisions)
	return changed, nil
}

// label says which revision an object stands for, or is of.
func (p *pass) label(ctx context.Context, obj client.Object, hash string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": obj.GetUID(), "labels": map[string]string{plan.HashLabel: hash}}})
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(p.write.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch)))
}

// settleRevisions finds or makes the revision of the set's template; ok is false
// when the event of a write has to be waited for first.
func (p *pass) settleRevisions(ctx context.Context) (ok bool, err error) {
	if p.update = p.knownUpdate(); p.update != nil {
		return true, nil
	}
	decided, err := plan.Revise(p.set, p.owner.Ref(), p.revisions, p.pods, defaults.PodTemplateSpec)
	if err != nil {
		return false, err
	}
	switch decided.Verb {
	case revision.Create:
		if p.update, err = p.createRevision(ctx, decided.Update); err != nil || p.update == nil {
			return false, err
		}
	case revision.Renumber:
		p.update = decided.Update.DeepCopy()
		p.update.Revision = decided.Number
		if err := p.write.Update(ctx, p.update); err != nil {
			return false, err
		}
	default:
		p.update = decided.Update
	}
	if len(decided.Duplicates) > 0 {
		return false, p.merge(ctx, decided)
	}
	p.memory.change(p.set, func(r *remembered) {
		r.update, r.generation, r.revisions = p.update.Name, p.set.Generation, len(p.revisions)
	})
	return true, nil
}

// knownUpdate spares encoding the template while nothing has changed.
func (p *pass) knownUpdate() *appsv1.ControllerRevision {
	known := p.memory.of(p.set)
	if known.generation != p.set.Generation || len(p.revisions) == 0 || len(p.revisions) != known.revisions {
		return nil
	}
	if newest := p.revisions[len(p.revisions)-1]; newest.Name == known.update {
		return newest
	}
	return nil
}

// createRevision stores a revision. One of that name with the same data is as
// good; one with other data means another hash is needed, which the next pass
// takes once the status says so.
func (p *pass) createRevision(ctx context.Context, want *appsv1.ControllerRevision) (*appsv1.ControllerRevision, error) {
	created := want.DeepCopy()
	err := p.write.Create(ctx, created)
	if err == nil {
		return created, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	existing := &appsv1.ControllerRevision{}
	if err := p.env.Live.Get(ctx, client.ObjectKeyFromObject(want), existing); err != nil {
		return nil, err
	}
	if bytes.Equal(existing.Data.Raw, want.Data.Raw) {
		return existing, nil
	}
	set := p.set.DeepCopy()
	set.Status.CollisionCount = ptr.To(ptr.Deref(set.Status.CollisionCount, 0) + 1)
	return nil, p.write.Status().Update(ctx, set)
}

// merge makes one of several revisions of the same meaning. Upstream relabels
// the pods of all revisions then, and takes old pods for new ones.
func (p *pass) merge(ctx context.Context, decided plan.History) error {
	for _, pod := range decided.Relabel {
		if err := p.label(ctx, pod.DeepCopy(), p.update.Labels[plan.HashLabel]); err != nil {
			return err
		}
	}
	return p.deleteRevisions(ctx, decided.Duplicates)
}

// cutHistory deletes revisions that nothing uses beyond the limit.
func (p *pass) cutHistory(ctx context.Context) error {
	return p.deleteRevisions(ctx, plan.Excess(p.set, p.revisions, p.update.Name, p.pods))
}

func (p *pass) deleteRevisions(ctx context.Context, revisions []*appsv1.ControllerRevision) error {
	for _, rev := range revisions {
		gone := rev.DeepCopy()
		if err := p.write.Delete(ctx, gone, client.Preconditions{UID: &gone.UID}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// gatherPods collects the set's pods, those too that have ended.
func (p *pass) gatherPods(ctx context.Context) (changed bool, err error) {
	mine, orphans, err := owned.ListShared[*corev1.Pod](ctx, p.owner, &corev1.PodList{})
	if err != nil {
		return false, err
	}
	p.pods, changed, err = owned.Claim(ctx, p.owner, "Pod", mine, orphans, func(pod *corev1.Pod) bool {
		return p.selector.Matches(labels.Set(pod.Labels))
	})
	return changed, err
}
