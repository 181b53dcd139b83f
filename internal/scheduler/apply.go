package scheduler

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/schedule"
)

// bind gives the pod its node. The UID in the binding makes the API server
// refuse a pod that has been replaced under the same name.
func (s *scheduler) bind(ctx context.Context, pod *corev1.Pod, node string) error {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
	about := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	if err := s.env.Write.SubResource("binding").Create(ctx, about, binding); err != nil {
		if s.boundAnyway(ctx, pod) {
			return nil
		}
		return fmt.Errorf("running Bind plugin %q: %w", "DefaultBinder", err)
	}
	s.env.Events.Event(pod, corev1.EventTypeNormal, "Scheduled",
		fmt.Sprintf("Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node))
	return nil
}

// boundAnyway looks what became of a binding that seems to have failed: the
// answer may be lost although it was written, and the room must stay taken.
func (s *scheduler) boundAnyway(ctx context.Context, pod *corev1.Pod) bool {
	now := &corev1.Pod{}
	err := s.env.Live.Get(ctx, client.ObjectKeyFromObject(pod), now)
	if err != nil || now.UID != pod.UID || now.Spec.NodeName == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.podIs(pod, now)
	return true
}

// settle reserves volumes and asks for new ones on the chosen node. The pod is
// bound when its claims are: their change wakes it.
func (s *scheduler) settle(ctx context.Context, d *schedule.Decision) error {
	for _, step := range d.Claims {
		var err error
		if step.Volume != nil {
			err = s.reserve(ctx, step)
		} else if step.Claim.Annotations[volume.AnnSelectedNode] != d.Node {
			claim := step.Claim.DeepCopy()
			metav1.SetMetaDataAnnotation(&claim.ObjectMeta, volume.AnnSelectedNode, d.Node)
			err = s.env.Write.Update(ctx, claim)
		}
		if err != nil {
			return fmt.Errorf("running PreBind plugin %q: %w", "VolumeBinding", err)
		}
	}
	return nil
}

func (s *scheduler) reserve(ctx context.Context, step schedule.ClaimStep) error {
	pv, changed, err := volume.GetBindVolumeToClaim(step.Volume, step.Claim)
	if err != nil || !changed {
		return err
	}
	return s.env.Write.Update(ctx, pv)
}

// refuse says in the pod's status and in an event why no node fits; the same
// answer is given once.
func (s *scheduler) refuse(ctx context.Context, pod *corev1.Pod, d *schedule.Decision) error {
	want := corev1.PodCondition{
		Type:               corev1.PodScheduled,
		Status:             corev1.ConditionFalse,
		Reason:             corev1.PodReasonUnschedulable,
		Message:            d.Message,
		ObservedGeneration: pod.Generation,
		LastTransitionTime: metav1.NewTime(s.env.Clock.Now()),
	}
	changed := pod.DeepCopy()
	said := setCondition(&changed.Status, want)
	changed.Status.NominatedNodeName = d.Nominated
	if !said && d.Nominated == pod.Status.NominatedNodeName {
		return nil
	}
	if err := s.env.Write.Status().Update(ctx, changed); err != nil {
		return fmt.Errorf("say that pod %s/%s is unschedulable: %w", pod.Namespace, pod.Name, err)
	}
	if said {
		s.env.Events.Event(pod, corev1.EventTypeWarning, "FailedScheduling", d.Message)
	}
	return nil
}

// complain says in the pod's status and in an event that the API did not take
// what was decided. It is tried again either way, so a second failure is not
// worth a word.
func (s *scheduler) complain(ctx context.Context, pod *corev1.Pod, why error) error {
	if why == nil || ctx.Err() != nil || apierrors.IsNotFound(why) || apierrors.IsConflict(why) {
		return why
	}
	changed := pod.DeepCopy()
	if setCondition(&changed.Status, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulerError, Message: why.Error(),
		ObservedGeneration: pod.Generation, LastTransitionTime: metav1.NewTime(s.env.Clock.Now()),
	}) {
		_ = s.env.Write.Status().Update(ctx, changed)
	}
	s.env.Events.Event(pod, corev1.EventTypeWarning, "FailedScheduling", why.Error())
	return why
}

// preempt sends the victims of a decision away, and lets less important pods
// that waited for the same room look elsewhere.
func (s *scheduler) preempt(ctx context.Context, pod *corev1.Pod, d *schedule.Decision, displaced []*corev1.Pod) error {
	for _, p := range displaced {
		if p.Status.NominatedNodeName == "" {
			continue
		}
		changed := p.DeepCopy()
		changed.Status.NominatedNodeName = ""
		err := s.env.Write.Status().Patch(ctx, changed, client.StrategicMergeFrom(p))
		if err = client.IgnoreNotFound(err); err != nil {
			return fmt.Errorf("take the nomination of pod %s/%s back: %w", p.Namespace, p.Name, err)
		}
	}
	for _, victim := range d.Victims {
		if victim.DeletionTimestamp != nil {
			continue
		}
		if err := s.sendAway(ctx, pod, victim, d.Nominated); err != nil {
			return fmt.Errorf("preempt pod %s/%s for pod %s/%s: %w", victim.Namespace, victim.Name, pod.Namespace, pod.Name, err)
		}
	}
	return nil
}

func (s *scheduler) sendAway(ctx context.Context, pod, victim *corev1.Pod, node string) error {
	now := metav1.NewTime(s.env.Clock.Now())
	ending := victim.DeepCopy()
	if setCondition(&ending.Status, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler,
		Message:            s.profileOf(pod) + ": preempting to accommodate a higher priority pod",
		ObservedGeneration: victim.Generation, LastTransitionTime: now,
	}) {
		err := s.env.Write.Status().Patch(ctx, ending.DeepCopy(), client.StrategicMergeFrom(victim))
		if err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	err := s.env.Write.Delete(ctx, ending.DeepCopy(), client.Preconditions{UID: &victim.UID})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) && s.replaced(ctx, victim) {
		return nil
	}
	if err != nil {
		return err
	}
	s.env.Events.Event(victim, corev1.EventTypeNormal, "Preempted", fmt.Sprintf("Preempted by pod %s on node %s", pod.UID, node))
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, there := s.cluster.Placed(victim); there && at == node {
		ending.DeletionTimestamp = &now // the cache will say so soon
		s.cluster.SetPod(ending)
	}
	return nil
}

// replaced reports whether another pod has the name of this one by now: only
// then is a conflict about it the end of it.
func (s *scheduler) replaced(ctx context.Context, pod *corev1.Pod) bool {
	now := &corev1.Pod{}
	err := s.env.Live.Get(ctx, client.ObjectKeyFromObject(pod), now)
	return apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID
}

// setCondition reports whether it changed anything worth a write.
func setCondition(status *corev1.PodStatus, want corev1.PodCondition) bool {
	for i := range status.Conditions {
		have := &status.Conditions[i]
		if have.Type != want.Type {
			continue
		}
		if have.Status == want.Status && have.Reason == want.Reason && have.Message == want.Message {
			return false
		}
		if have.Status == want.Status {
			want.LastTransitionTime = have.LastTransitionTime
		}
		*have = want
		return true
	}
	status.Conditions = append(status.Conditions, want)
	return true
}
