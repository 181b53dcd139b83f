package statefulset

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// What a plan may never ask for, whatever the state.
func TestSafety(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, rules := drawState(t), drawRules(t)
		p := Decide(s, rules)
		pods := map[int]Pod{}
		for _, pod := range s.Pods {
			pods[pod.Ordinal] = pod
		}
		deletes, creates, lastStep := 0, 0, 0
		done := map[string]bool{}
		for _, a := range p.Actions {
			pod, known := pods[a.Ordinal]
			key := fmt.Sprint(a.Verb, a.Ordinal, a.Claim)
			switch {
			case s.BadOverrides != "" && a.Ordinal != NoOrdinal && !s.Deleting:
				t.Fatalf("%v without knowing how pods look", a)
			case s.Deleting && !s.Guarded:
				t.Fatalf("a set being deleted does %v", a)
			case s.Deleting && a.Verb == DeletePod && (!s.Teardown || s.Orphaning || !a.Exact):
				t.Fatalf("a set whose pods are not its to stop does %v", a)
			case s.Deleting && a.Verb == DeletePod && higher(s, a.Ordinal):
				t.Fatalf("%v before a higher one is gone", a)
			case s.Deleting && a.Verb != DeletePod && a.Verb != UnguardSet:
				t.Fatalf("a set being deleted does %v", a)
			case a.Verb == GuardSet || a.Verb == UnguardSet:
				if a.Ordinal != NoOrdinal || a.Step != 0 {
					t.Fatalf("%v comes too late", a)
				}
				lastStep = 1
				continue
			case !known:
				t.Fatalf("%v is about a pod that is neither wanted nor there", a)
			case done[key]:
				t.Fatalf("%v twice", a)
			case a.Step < lastStep:
				t.Fatalf("steps go back at %v", a)
			case !slices.Contains(Whys, a.Why):
				t.Fatalf("reason %q is not in the list", a.Why)
			}
			done[key], lastStep = true, a.Step
			if a.Why == Outdated && s.Strategy == RollingUpdate && pod.Health >= Ready && pod.Pull != Pulled && (pod.Pull != Pulling || pod.PullLeft > 0) {
				t.Fatalf("%v before its images are there: %v", a, pod)
			}
			switch a.Verb {
			case PullImages:
				if pod.Pull != Unasked || a.UID != pod.UID {
					t.Fatalf("images are asked for again: %v", a)
				}
			case CreatePod:
				if !s.recovers(a) {
					creates++
				}
				if pod.Health != Absent || !s.inRange(a.Ordinal) {
					t.Fatalf("second or surplus pod: %v over %v", a, pod)
				}
				if a.Revision != s.Current && a.Revision != s.Update {
					t.Fatalf("unknown revision: %v", a)
				}
				if i := slices.IndexFunc(pod.Claims, func(c Claim) bool { return c.Deleting }); i >= 0 {
					t.Fatalf("pod over a claim that goes: %v", pod)
				}
			case DeletePod:
				if !s.recovers(a) {
					deletes++
				}
				if a.Why == Ended && rules.BackOff && pod.RetryIn > 0 && pod.Revision == s.revisionFor(a.Ordinal, rules) {
					t.Fatalf("%v before its time", a)
				}
				if pod.Health == Absent || pod.Terminating || a.UID != pod.UID {
					t.Fatalf("delete of a pod that is gone, going or another: %v, %v", a, pod)
				}
				if a.Why == Outdated && s.InPlace != options.Never && s.Strategy == RollingUpdate && (pod.Patchable || s.InPlace == options.Only) {
					t.Fatalf("made anew though it may change only in place: %v", a)
				}
				if a.Why == Outdated && s.Strategy != Recreate && s.index(a.Ordinal) < s.Partition {
					t.Fatalf("roll below the partition: %v", a)
				}
			case RepairPod:
				if rules.GrowClaims && pod.OlderStorage && !pod.WrongIdentity {
					t.Fatalf("a pod's volumes are changed: %v", a)
				}
			case PatchPod:
				deletes++ // it costs as much
				if pod.Health == Absent || pod.Terminating || a.UID != pod.UID || !pod.Patchable || s.InPlace == options.Never || a.Revision != s.Update {
					t.Fatalf("patch of a pod that is gone, going or cannot be: %v, %v", a, pod)
				}
				if a.Why == Outdated && s.index(a.Ordinal) < s.Partition {
					t.Fatalf("roll below the partition: %v", a)
				}
			case GrowClaim:
				if c := pod.Claims[a.Template]; !rules.GrowClaims || !s.inRange(a.Ordinal) || c.Name != a.Claim || c.Missing || c.Deleting || !c.TooSmall {
					t.Fatalf("claim is not to grow: %v, %v", a, c)
				}
			case CreateClaim:
				if i := slices.IndexFunc(pod.Claims, func(c Claim) bool { return c.Name == a.Claim && c.Missing }); i < 0 {
					t.Fatalf("claim exists: %v", a)
				}
			}
		}
		if !s.Deleting && !s.Parallel && (s.Strategy != Recreate || !rules.ServeRecreate) {
			checkOrder(t, s, p, creates, deletes, s.window(rules))
		}
		checkBudget(t, s, p)
		checkTurns(t, s, p)
		checkDisruptions(t, s, p)
		if again := Decide(s, rules); !reflect.DeepEqual(p, again) {
			t.Fatalf("the same state gives another plan:\n%v\n%v", p, again)
		}
		if len(Explain(s, p)) == 0 {
			t.Fatal("no explanation")
		}
	})
}

// higher reports whether a pod exists above the ordinal.
func higher(s State, ordinal int) bool {
	return slices.ContainsFunc(s.Pods, func(p Pod) bool { return p.Ordinal > ordinal && p.Health != Absent })
}

// recovers reports whether the action brings a pod back that was ready before,
// for which no order is kept.
func (s State) recovers(a Action) bool {
	pod := s.at(a.Ordinal)
	return s.RecoverTogether && s.inRange(a.Ordinal) && pod.ReadyBefore && (a.Why == Missing || a.Why == Recovering || a.Why == Ended)
}

// checkOrder: an ordered set has no more than window pods on their way up, starts
// them in order, and takes none away while one is on its way (but for a roll
// within maxUnavailable).
func checkOrder(t *rapid.T, s State, p Plan, creates, deletes, window int) {
	if creates+deletes > max(1, s.MaxUnavailable) || creates > window {
		t.Fatalf("an ordered set makes %d and deletes %d at once", creates, deletes)
	}
	if creates > 0 && deletes > 0 && window == 1 {
		t.Fatalf("an ordered set makes %d and deletes %d at once", creates, deletes)
	}
	made := map[int]bool{}
	for _, a := range p.Actions {
		if a.Verb != CreatePod && a.Verb != DeletePod && a.Verb != PatchPod || a.Why == Abandoned || a.Why == Asked {
			continue
		}
		if s.recovers(a) {
			made[a.Ordinal] = made[a.Ordinal] || a.Verb == CreatePod
			continue
		}
		onTheWay := len(made)
		for _, pod := range s.Pods {
			if !s.inRange(pod.Ordinal) || pod.Ordinal == a.Ordinal || !pod.unavailable() {
				continue
			}
			if pod.Health > Dead && !pod.Terminating && pod.Ordinal < a.Ordinal {
				onTheWay++
			}
			up := made[pod.Ordinal] || pod.Health > Dead && !pod.Terminating
			switch {
			case pod.Ordinal < a.Ordinal && !up && a.Why != Outdated:
				t.Fatalf("%v before %v is there", a, pod)
			case (a.Why == Surplus || window == 1) && (pod.Ordinal < a.Ordinal || a.Why == Surplus || a.Why == Outdated):
				t.Fatalf("%v while %v is not available", a, pod)
			}
		}
		if a.Verb == CreatePod && onTheWay >= window {
			t.Fatalf("%v while %d are on their way", a, onTheWay)
		}
		if a.Verb == CreatePod {
			made[a.Ordinal] = true
		}
		for _, pod := range s.Pods {
			if a.Why == Surplus && !s.inRange(pod.Ordinal) && pod.Ordinal > a.Ordinal {
				t.Fatalf("%v before %v", a, pod)
			}
		}
	}
}

// checkBudget: a roll never takes more than maxUnavailable of the pods that work.
func checkBudget(t *rapid.T, s State, p Plan) {
	if s.Strategy != RollingUpdate {
		return
	}
	down := 0
	for _, pod := range s.Pods {
		if s.inRange(pod.Ordinal) && pod.unavailable() {
			down++
		}
	}
	for _, a := range p.Actions {
		if a.Verb != DeletePod && a.Verb != PatchPod || a.Why != Outdated && a.Why != Asked {
			continue
		}
		i := slices.IndexFunc(s.Pods, func(p Pod) bool { return p.Ordinal == a.Ordinal })
		if s.Pods[i].unavailable() {
			continue
		}
		if down++; down > s.MaxUnavailable {
			t.Fatalf("%d pods down, %d allowed: %v", down, s.MaxUnavailable, p.Actions)
		}
	}
}

// checkTurns: a rollout takes pods that work in the order that is asked for.
func checkTurns(t *rapid.T, s State, p Plan) {
	taken := map[int]bool{}
	for _, a := range p.Actions {
		taken[a.Ordinal] = taken[a.Ordinal] || a.Verb == DeletePod || a.Verb == PatchPod
	}
	slots, _ := s.split()
	for _, a := range p.Actions {
		pod := s.at(a.Ordinal)
		if a.Why != Outdated || pod.unavailable() || s.Strategy != RollingUpdate {
			continue
		}
		for _, other := range slots[min(s.Partition, len(slots)):] {
			switch {
			case !other.old(s) || other.Ordinal == a.Ordinal:
			case pod.Turn > other.Turn && s.Order.Label != "":
				t.Fatalf("%v before %v", a, other)
			case s.Parallel && (len(s.Budgets) > 0 || s.PrePull || s.InPlace != options.Never), other.unavailable(), taken[other.Ordinal]:
			case s.Order.Ascending && other.Ordinal < a.Ordinal, s.Order.Default() && other.Ordinal > a.Ordinal:
				t.Fatalf("%v before %v", a, other)
			}
		}
	}
}

// checkDisruptions: a rollout takes no more pods than each PodDisruptionBudget lets go.
func checkDisruptions(t *rapid.T, s State, p Plan) {
	for _, b := range s.Budgets {
		gone := 0
		for _, a := range p.Actions {
			if pod := s.at(a.Ordinal); (a.Verb == DeletePod || a.Verb == PatchPod) && (a.Why == Outdated || a.Why == Asked) && slices.Contains(b.Covers, a.Ordinal) && s.Strategy == RollingUpdate {
				if a.Verb == DeletePod && a.Evict != (pod.Health >= Ready) && a.Exact == a.Evict {
					t.Fatalf("%v does not ask the budgets", a)
				}
				if pod.Health >= Ready {
					gone++
				}
			}
		}
		if gone > b.Allowed {
			t.Fatalf("%d pods taken, %s lets %d go: %v", gone, b.Name, b.Allowed, p.Actions)
		}
	}
}

// A set that is replaced as a whole never gets a pod of the new revision beside
// one of another.
func TestRecreateNeverMixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, rules := drawState(t), drawRules(t)
		s.Strategy, rules.ServeRecreate = Recreate, true
		for _, a := range Decide(s, rules).Actions {
			if a.Verb != CreatePod || a.Revision != s.Update {
				continue
			}
			for _, pod := range s.Pods {
				if pod.Health != Absent && pod.Revision != s.Update {
					t.Fatalf("%d is made at %s beside %v", a.Ordinal, a.Revision, pod)
				}
			}
		}
	})
}

// When pods do what they are told, every set comes to rest as wanted.
func TestLiveness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, rules := drawState(t), drawRules(t)
		s.Deleting, s.Orphaning, rules.UpdateParallelPods = false, false, true
		s.BadOverrides = ""
		if s.Strategy == Recreate {
			rules.ServeRecreate = true
		}
		for i := range s.Pods { // a pod that runs gets ready in the toy world; what is owned by others does not change
			s.Pods[i].WrongStorage = false
		}
		w := &toy{State: s}
		trace, rested := w.settle(rules, 300)
		if !rested {
			t.Fatalf("never rests: %v", trace)
		}
		if trapped(w.State, rules) || protected(w.State, rules) || s.Paused && w.mixes(s.Update) {
			return
		}
		for _, pod := range w.Pods {
			if pod.Health != Available || !s.inRange(pod.Ordinal) {
				t.Fatalf("rests with %v after %v: %v", pod, trace, Explain(w.State, Decide(w.State, rules)))
			}
			if s.Strategy == RollingUpdate && !s.Paused && s.index(pod.Ordinal) >= s.Partition && pod.old(s) {
				t.Fatalf("rests with outdated %v after %v", pod, trace)
			}
			if s.Strategy == Recreate && !s.Paused && pod.old(s) {
				t.Fatalf("rests with outdated %v after %v", pod, trace)
			}
			for _, claim := range pod.Claims {
				if claim.Missing && slices.Contains(trace, fmt.Sprintf("+%d@%s", pod.Ordinal, pod.Revision)) {
					t.Fatalf("rests without claim %v", claim)
				}
			}
		}
	})
}

// trapped is the one state without a way out that is part of upstream's
// contract: two surplus pods of an ordered set that are not ready wait for each
// other.
func trapped(s State, rules Rules) bool {
	holds := Decide(s, rules).Holds
	return len(holds) > 0 && holds[0].Why == AwaitLower
}

// protected: budgets that never let go, and what can only change in place and cannot, hold a rollout for ever.
func protected(s State, rules Rules) bool {
	return slices.ContainsFunc(Decide(s, rules).Holds, func(h Hold) bool { return h.Why == Protected || h.Why == AwaitImages || h.Why == NotInPlace })
}

// A set that is stuck on a bad revision comes back when its template is good.
func TestForcedRollbackRecovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := State{
			Name: "web", Replicas: rapid.IntRange(1, 5).Draw(t, "replicas"), Strategy: RollingUpdate, HasRolling: true,
			MaxUnavailable: rapid.IntRange(1, 3).Draw(t, "max"), Current: "good", Update: "bad",
		}
		up := rapid.IntRange(0, s.Replicas).Draw(t, "up") // how far the first bring-up had come
		for o := range s.Replicas {
			pod := Pod{Ordinal: o}
			if o < up {
				pod.Health, pod.Revision, pod.UID = Available, "good", types.UID(fmt.Sprint("first-", o))
			}
			s.Pods = append(s.Pods, pod)
		}
		w := &toy{State: s, broken: []string{"bad"}}
		w.settle(Production, 100)
		untouched := map[int]types.UID{}
		for _, pod := range w.Pods {
			if pod.Health == Available && pod.Revision == "good" {
				untouched[pod.Ordinal] = pod.UID
			}
		}
		w.Update = rapid.SampledFrom([]string{"good", "third"}).Draw(t, "fix")
		trace, rested := w.settle(Production, 200)
		for _, pod := range w.Pods {
			if !rested || pod.Health != Available || pod.Revision != w.Update {
				t.Fatalf("not recovered: %v after %v", pod, trace)
			}
			if uid, ok := untouched[pod.Ordinal]; ok && w.Update == "good" && uid != pod.UID {
				t.Fatalf("pod %d was fine and was replaced: %v", pod.Ordinal, trace)
			}
		}
	})
}
