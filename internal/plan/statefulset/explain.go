package statefulset

import (
	"fmt"
	"strings"
	"time"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// Explain says in a user's words what a plan does and waits for, one sentence
// each. A plan without actions and holds is at rest and says so.
func Explain(s State, p Plan) []string {
	lines := make([]string, 0, len(p.Actions)+len(p.Holds))
	for _, action := range p.Actions {
		lines = append(lines, s.sayAction(action))
	}
	for _, hold := range p.Holds {
		lines = append(lines, s.sayHold(hold))
	}
	if len(lines) == 0 {
		return []string{fmt.Sprintf("nothing to do: %d of %d pods are as wanted", s.Replicas, s.Replicas)}
	}
	return lines
}

func (s State) sayAction(a Action) string {
	pod := PodName(s.Name, a.Ordinal)
	switch a.Why {
	case Missing:
		return fmt.Sprintf("creating %s (revision %s)", pod, a.Revision)
	case Recovering:
		return fmt.Sprintf("creating %s (revision %s) without waiting for lower pods: it was ready before (annotation %s)", pod, a.Revision, options.Recovery)
	case ComesNext:
		return fmt.Sprintf("asking the node of %s for %s before the pod is replaced", pod, a.Images)
	case Asked:
		return fmt.Sprintf("replacing %s: its label %s asks for it", pod, options.ReplaceLabel)
	case Ended:
		return fmt.Sprintf("replacing %s: it has ended; its claims stay", pod)
	case Surplus:
		return fmt.Sprintf("deleting %s: only ordinals %s are wanted", pod, s.span())
	case Outdated, Abandoned:
		if a.Verb == PatchPod {
			return fmt.Sprintf("updating %s in place to revision %s", pod, a.Revision)
		}
		if was := s.at(a.Ordinal); a.Why == Outdated && was.Revision == s.Update {
			return fmt.Sprintf("replacing %s: its overrides have changed", pod)
		}
		if a.Why == Outdated {
			return fmt.Sprintf("replacing %s: it is not of revision %s", pod, s.Update)
		}
		return fmt.Sprintf("replacing %s: it never became ready on a revision that is given up for %s", pod, s.Update)
	case ClaimMissing:
		return fmt.Sprintf("creating claim %s for %s", a.Claim, pod)
	case ClaimPolicy:
		return fmt.Sprintf("claim %s: %s", a.Claim, sayOwner(a.Owner))
	case TooSmall:
		return fmt.Sprintf("growing claim %s of %s to what its template asks for", a.Claim, pod)
	case Misnamed:
		return fmt.Sprintf("restoring the labels of %s", pod)
	case TornDown:
		return fmt.Sprintf("stopping %s: the set is being deleted, highest pod first; to let all go at once, remove the annotation %s", pod, options.OrderedTeardown)
	case Guarding:
		return "when the set is deleted its pods will be stopped in order: adding its finalizer"
	case LetGo:
		return "no pod is left to be stopped in order: removing the set's finalizer"
	}
	return fmt.Sprintf("%s %s", a.Verb, pod)
}

func sayOwner(o Owner) string {
	switch o {
	case BySet:
		return "it will be deleted with the set"
	case ByPod:
		return "it will be deleted with its pod"
	}
	return "it will be kept"
}

func (s State) span() string {
	var spans []string
	first, end := s.Start, s.end()
	for ordinal := s.Start; ordinal <= end; ordinal++ {
		switch {
		case ordinal < end && s.inRange(ordinal):
			continue
		case ordinal-first == 1:
			spans = append(spans, fmt.Sprint(first))
		case ordinal > first:
			spans = append(spans, fmt.Sprintf("%d to %d", first, ordinal-1))
		}
		first = ordinal + 1
	}
	if len(spans) == 0 {
		return "none"
	}
	return strings.Join(spans, ", ")
}

func (s State) sayHold(h Hold) string {
	pod := PodName(s.Name, h.Ordinal)
	switch h.Why {
	case SetDeleting:
		return "the set is being deleted: nothing is created or replaced"
	case AwaitGone:
		return fmt.Sprintf("waiting for %s to be gone: it is terminating", pod)
	case AwaitReady:
		if h.Detail != "" {
			return fmt.Sprintf("waiting for %s to be Ready: %s", pod, h.Detail)
		}
		return fmt.Sprintf("waiting for %s to be Ready", pod)
	case AwaitAvailable:
		return fmt.Sprintf("waiting for %s to be available: %s of minReadySeconds left", pod, h.Left.Round(time.Second))
	case AwaitLower:
		return fmt.Sprintf("%s is surplus and not ready, and waits for a lower pod that is not ready either; to let it go, set the annotation %s: \"true\"", pod, options.ScaleDownUnready)
	case ClaimDeleting:
		return fmt.Sprintf("waiting for claim %s of %s to be gone: it is being deleted", h.Claim, pod)
	case ClaimStale:
		return fmt.Sprintf("waiting for claim %s to be deleted with the former %s", h.Claim, pod)
	case ByHand:
		return "pods of an older revision are replaced when you delete them (updateStrategy OnDelete)"
	case Budget:
		return fmt.Sprintf("waiting: no more than %d of %d pods may be unavailable during the update", s.MaxUnavailable, s.Replicas)
	case Partitioned:
		return fmt.Sprintf("pods below %s keep their revision (partition %d)", PodName(s.Name, s.Reserved.Skip(s.Start, s.Partition)), s.Partition)
	case OnHold:
		return fmt.Sprintf("the rollout to revision %s is paused; to go on, remove the annotation %s", s.Update, options.Paused)
	case AwaitImages:
		if h.Detail != "" {
			return fmt.Sprintf("%s goes on working: its node cannot get %s: %s", pod, h.Images, h.Detail)
		}
		return fmt.Sprintf("waiting to replace %s until its node has %s (annotation %s)", pod, h.Images, options.PrePull)
	case OverridesUnusable:
		return fmt.Sprintf("nothing is done before the ConfigMap of annotation %s is right: %s", options.Overrides, h.Detail)
	case NotInPlace:
		return fmt.Sprintf("%s cannot be updated in place: %s; delete it to have it made anew, or set the annotation %s: %s", pod, h.Detail, options.InPlaceUpdate, options.IfPossible)
	case LaterTurn:
		return fmt.Sprintf("%s has %s=%s, and its turn comes when the others are updated and available (annotation %s)", pod, s.Order.Label, s.Order.Values[s.at(h.Ordinal).Turn-1], options.UpdateOrder)
	case BackingOff:
		return fmt.Sprintf("waiting %s before %s is made again: its pods keep ending (%d so far); see the events of %s", h.Left.Round(time.Second), pod, s.at(h.Ordinal).Failures, pod)
	case Protected:
		return fmt.Sprintf("waiting to replace %s: PodDisruptionBudget %s lets no pod go now (annotation %s)", pod, h.Budget, options.RespectPDB)
	case LacksVolume:
		return fmt.Sprintf("%s is older than a claim template of the set and has no volume of it; it gets one when it is made again", pod)
	case ClaimGrowing:
		return fmt.Sprintf("waiting for claim %s of %s to have grown to %s", h.Claim, pod, h.Detail)
	case StartBudget:
		return fmt.Sprintf("waiting: no more than %d pods may be on their way up at once (annotation %s)", s.StartLimit, options.MaxUnavailableScale)
	}
	return string(h.Why)
}
