package statefulset

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
)

// toy is a world in which plans are carried out and pods do what they are told,
// but for those whose revision is listed in broken.
type toy struct {
	State
	broken []string
	made   int
}

// carryOut applies a plan and says what was done.
func (w *toy) carryOut(p Plan) []string {
	var done []string
	for _, a := range p.Actions {
		if a.Verb == GuardSet || a.Verb == UnguardSet {
			w.Guarded = a.Verb == GuardSet
			done = append(done, string(a.Verb))
			continue
		}
		i := slices.IndexFunc(w.Pods, func(p Pod) bool { return p.Ordinal == a.Ordinal })
		pod := &w.Pods[i]
		switch a.Verb {
		case CreatePod:
			w.made++
			pod.Overridden = pod.Override
			pod.Health, pod.Revision, pod.UID = Pending, a.Revision, types.UID(fmt.Sprintf("new-%d", w.made))
			done = append(done, fmt.Sprintf("+%d@%s", a.Ordinal, a.Revision))
		case DeletePod:
			if pod.UID == a.UID && pod.Health != Absent {
				pod.Terminating = true
			}
			done = append(done, fmt.Sprintf("-%d", a.Ordinal))
		case CreateClaim, OwnClaim:
			claim := &pod.Claims[a.Template]
			claim.Missing = false
			claim.SetRef, claim.PodRef = NoRef, NoRef
			switch a.Owner {
			case BySet:
				claim.SetRef = Held
			case ByPod:
				claim.PodRef = Held
			}
			done = append(done, fmt.Sprintf("%s %s", a.Verb, a.Claim))
		case PullImages:
			pod.Pull = Pulled
			done = append(done, fmt.Sprintf("pull for %d", a.Ordinal))
		case PatchPod:
			pod.Health, pod.Revision, pod.Patchable, pod.Obstacle, pod.NeverStarted = Starting, a.Revision, false, "", false
			done = append(done, fmt.Sprintf("%d@%s", a.Ordinal, a.Revision))
		case GrowClaim:
			claim := &pod.Claims[a.Template]
			claim.TooSmall, claim.Growing = false, true
			done = append(done, "grow "+a.Claim)
		case RepairPod:
			pod.WrongIdentity, pod.WrongStorage = false, false
			done = append(done, fmt.Sprintf("repair %d", a.Ordinal))
		}
	}
	return done
}

// tick lets every pod get one step further.
func (w *toy) tick() {
	kept := w.Pods[:0]
	for _, pod := range w.Pods {
		switch {
		case pod.Terminating:
			pod = Pod{Ordinal: pod.Ordinal, Claims: pod.Claims, ReadyBefore: pod.ReadyBefore, Override: pod.Override, Failures: pod.Failures}
			for i := range pod.Claims {
				if pod.Claims[i].PodRef == Held { // deleted with its pod
					pod.Claims[i] = Claim{Name: pod.Claims[i].Name, Template: i, Missing: true}
				}
				pod.Claims[i].Deleting = false
				if pod.Claims[i].PodRef == Stale {
					pod.Claims[i].PodRef = NoRef
				}
			}
		case pod.Health == Pending && !slices.Contains(w.broken, pod.Revision):
			pod.Health = Starting
		case pod.Health == Pending:
			pod.NeverStarted = true
		case pod.Health == Starting && !slices.Contains(w.broken, pod.Revision):
			pod.Health = Available
		case pod.Health == Ready:
			pod.Health, pod.AvailableIn = Available, 0
		}
		pod.RetryIn, pod.PullLeft = 0, 0
		pod.ReadyBefore = pod.ReadyBefore || pod.Health >= Ready
		if pod.Health == Absent {
			for i := range pod.Claims { // what blocked the claim has been collected
				if pod.Claims[i].Deleting || pod.Claims[i].PodRef == Stale {
					pod.Claims[i] = Claim{Name: pod.Claims[i].Name, Template: i, Missing: true}
				}
			}
		}
		if pod.Health == Absent && !w.inRange(pod.Ordinal) {
			continue
		}
		for i := range pod.Claims {
			pod.Claims[i].Growing = false
		}
		kept = append(kept, pod)
	}
	w.Pods = kept
	for o := w.Start; o < w.end(); o++ {
		if w.inRange(o) && !slices.ContainsFunc(w.Pods, func(p Pod) bool { return p.Ordinal == o }) {
			w.Pods = append(w.Pods, Pod{Ordinal: o})
		}
	}
	slices.SortFunc(w.Pods, func(a, b Pod) int { return a.Ordinal - b.Ordinal })
}

// settle runs until nothing is done and nothing is on its way.
func (w *toy) settle(rules Rules, limit int) (trace []string, rested bool) {
	idle := 0
	for range limit {
		p := Decide(w.State, rules)
		w.CurrentReplicas = int(Status(w.State, p, &appsv1.StatefulSet{}, 0, rules).CurrentReplicas)
		done := w.carryOut(p)
		trace = append(trace, done...)
		if len(done) == 0 {
			idle++
		} else {
			idle = 0
		}
		if idle > 3 { // a pod needs two ticks to come up
			return trace, true
		}
		w.tick()
	}
	return trace, false
}
