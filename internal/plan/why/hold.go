package why

import (
	"fmt"
	"time"

	"berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
)

// hold turns a hold of the planner into answers. What a pod waits for is said
// by the pod; here is said what waits for the pod.
func (f *Facts) hold(s *setFacts, h statefulset.Hold) []Answer {
	a := Answer{
		Object: s.object(), Passes: No,
		Sentence: statefulset.Explain(s.state, statefulset.Plan{Holds: []statefulset.Hold{h}})[0],
	}
	a.Since = s.since(h)
	pod := statefulset.PodName(s.set.Name, h.Ordinal)
	switch h.Why {
	case statefulset.SetDeleting:
		return nil
	case statefulset.AwaitGone, statefulset.AwaitReady, statefulset.AwaitAvailable:
		return f.awaits(s, h, a)
	case statefulset.AwaitLower:
		a.Reason, a.Object = ScaleDownWaits, "pod/"+pod
		a.Next = f.command(`annotate statefulset %s %s=true`, s.set.Name, options.ScaleDownUnready)
	case statefulset.ClaimDeleting:
		if claim, ok := named(f.Claims, h.Claim); ok && claim.DeletionTimestamp != nil {
			a.Object, a.Follows, a.Reason = "pod/"+pod, true, ClaimNotReady
			return []Answer{f.goingClaim(claim), a}
		}
		a.Reason = ClaimInUse
		a.Next = f.command("describe pvc %s", h.Claim)
	case statefulset.ClaimStale:
		a.Reason, a.Object, a.Passes = ClaimStale, "persistentvolumeclaim/"+h.Claim, Yes
		a.Next = f.command("get pvc %s --watch", h.Claim)
	case statefulset.ByHand:
		a.Reason = OnDelete
		a.Next = f.command("delete pod %s", s.highestOld())
	case statefulset.Budget:
		a.Reason, a.Passes, a.Follows = BudgetUsed, Yes, true
		a.Next = ""
	case statefulset.Partitioned:
		a.Reason = PartitionKeeps
		a.Next = f.command(`patch statefulset %s --type=merge -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":%d}}}}'`, s.set.Name, max(s.state.Partition-1, 0))
	case statefulset.OnHold:
		a.Reason = Paused
		a.Next = f.command("annotate statefulset %s %s-", s.set.Name, options.Paused)
	case statefulset.StartBudget:
		a.Reason, a.Passes, a.Follows = StartLimited, Yes, true
	case statefulset.LaterTurn:
		a.Reason, a.Object, a.Passes, a.Follows = LaterTurn, "pod/"+pod, Yes, true
	case statefulset.OverridesUnusable:
		a.Reason = OverridesUnusable
		asked, _ := options.Parse(s.set.Annotations)
		a.Next = f.command("edit configmap %s", asked.Overrides)
		if found, known := f.Overrides[asked.Overrides]; known && found == nil {
			a.Next = f.command("create configmap %s --from-file=DIRECTORY", asked.Overrides)
		}
	case statefulset.NotInPlace:
		a.Reason, a.Object = NotInPlace, "pod/"+pod
		a.Next = f.command("delete pod %s", pod)
	case statefulset.AwaitImages:
		a.Reason, a.Object, a.Passes = AwaitImages, "pod/"+pod, Yes
		a.Next = f.command("get pod %s --watch", pod)
		if h.Detail != "" {
			a.Passes, a.Next = Unknown, f.command("describe pod %s", pod)
		}
	case statefulset.BackingOff:
		a.Reason, a.Object, a.Passes = BackingOff, "pod/"+pod, Unknown
		a.Next = f.command("logs %s --all-containers", pod)
	case statefulset.LacksVolume:
		a.Reason, a.Object = VolumeLacking, "pod/"+pod
		a.Next = f.command("delete pod %s", pod)
	case statefulset.ClaimGrowing:
		a.Reason, a.Object, a.Passes = ClaimGrowing, "persistentvolumeclaim/"+h.Claim, Unknown
		a.Next = f.command("describe pvc %s", h.Claim)
	case statefulset.Protected:
		return []Answer{f.protected(h, pod, a)}
	default:
		a.Reason, a.Passes = SetHeld, Unknown
		a.Next = f.command("describe statefulset %s", s.set.Name)
	}
	return []Answer{a}
}

// since is when the set began to wait: for what it holds on that is written down,
// for the rest it is when its rollout last changed its state.
func (s *setFacts) since(h statefulset.Hold) *time.Time {
	var since *time.Time
	for _, c := range s.set.Status.Conditions {
		switch {
		case c.LastTransitionTime.IsZero():
		case c.Type == statefulset.ConditionHeld && c.Reason == string(h.Why):
			return at(c.LastTransitionTime.Time)
		case c.Type == statefulset.ConditionProgressing:
			since = at(c.LastTransitionTime.Time)
		}
	}
	return since
}

// protected is a pod that a budget keeps from being replaced.
func (f *Facts) protected(h statefulset.Hold, pod string, a Answer) Answer {
	a.Reason, a.Object, a.Passes = DisruptionBudget, "pod/"+pod, Unknown
	a.Next = f.command("describe pdb %s", h.Budget)
	if b, ok := named(f.Budgets, h.Budget); ok {
		if spent, ok := f.spent(b); ok {
			spent.Object, spent.Sentence = a.Object, a.Sentence+": "+spent.Sentence
			return spent
		}
	}
	return a
}

// highestOld is the pod that a rollout would begin with.
func (s *setFacts) highestOld() string {
	for i := len(s.state.Pods) - 1; i >= 0; i-- {
		pod := s.state.Pods[i]
		if s.state.Wants(pod.Ordinal) && pod.Health != statefulset.Absent && pod.Revision != s.state.Update {
			return statefulset.PodName(s.set.Name, pod.Ordinal)
		}
	}
	return "POD"
}

// awaits says what waits for one pod: higher ones to be made, surplus ones to
// be deleted.
func (f *Facts) awaits(s *setFacts, h statefulset.Hold, a Answer) []Answer {
	pod := statefulset.PodName(s.set.Name, h.Ordinal)
	var answers []Answer
	if h.Why == statefulset.AwaitAvailable {
		ready := a
		ready.Reason, ready.Object, ready.Passes = MinReadySeconds, "pod/"+pod, Yes
		if p := s.pod(h.Ordinal); p != nil {
			ready.Since = at(notReadySince(p))
		}
		ready.Next = f.command("get pod %s --watch", pod)
		answers = append(answers, ready)
	}
	if s.state.Parallel {
		return answers
	}
	var since *time.Time
	if lower := s.pod(h.Ordinal); lower != nil {
		since = at(notReadySince(lower))
	}
	var missing, surplus []string
	for _, p := range s.state.Pods {
		name := statefulset.PodName(s.set.Name, p.Ordinal)
		switch {
		case !s.state.Wants(p.Ordinal) && p.Ordinal != h.Ordinal:
			surplus = append(surplus, name)
		case s.state.Wants(p.Ordinal) && p.Health == statefulset.Absent && p.Ordinal > h.Ordinal:
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		answers = append(answers, Answer{
			Reason: WaitsForLower, Object: s.object(), Since: since, Follows: true, Passes: Yes,
			Sentence: fmt.Sprintf("%s: made in order, when %s is available", list(missing), pod),
		})
	}
	if len(surplus) > 0 {
		answers = append(answers, Answer{
			Reason: ScaleDownWaits, Object: s.object(), Since: since, Follows: true, Passes: Yes,
			Sentence: fmt.Sprintf("%s: surplus, deleted in order, when %s is %s", list(surplus), pod, goal(h)),
		})
	}
	return answers
}

func goal(h statefulset.Hold) string {
	if h.Why == statefulset.AwaitGone {
		return "gone"
	}
	return "available"
}
