package preview

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/statefulset"
)

// most is how many steps are looked at.
const most = 5000

// world carries plans out: deleted pods go, new pods become available, and a
// pod that is stuck today stays so until it is replaced.
type world struct {
	state   statefulset.State
	rules   statefulset.Rules
	set     *appsv1.StatefulSet
	budgets []budget

	existed int          // wanted pods that were there at the start
	were    map[int]bool // those that were available then
	made    []string     // pods that were created
	// worst is how many pods that worked were down at once.
	worst int
	// below says which budget was fallen below first.
	below     string
	collected []string // claims that went with their pods
	stuck     []string
}

func newWorld(state statefulset.State, f SetFacts) *world {
	w := &world{state: state, rules: f.Rules, set: f.After, were: map[int]bool{}}
	for _, pod := range state.Pods {
		if state.Wants(pod.Ordinal) && pod.Health != statefulset.Absent {
			w.existed++
		}
		if up(pod) {
			w.were[pod.Ordinal] = true
		}
	}
	w.budgets = f.budgets()
	return w
}

func up(pod statefulset.Pod) bool { return pod.Health == statefulset.Available && !pod.Terminating }

// run goes on until nothing is done and nothing moves.
func (w *world) run() (steps []Step, end string) {
	repeated := ""
	for len(steps) < most {
		w.allow()
		p := statefulset.Decide(w.state, w.rules)
		status := statefulset.Status(w.state, p, w.set, 0, w.rules)
		w.state.CurrentReplicas = int(status.CurrentReplicas)
		w.state.Current = status.CurrentRevision
		step := Step{Number: len(steps) + 1, Wanted: w.state.Replicas}
		before := fmt.Sprint(w.state.Pods)
		for _, a := range p.Actions {
			step.Actions = append(step.Actions, w.do(a))
		}
		same := fmt.Sprint(w.state.Pods) == before && len(p.Actions) > 0
		step.Available = w.available()
		w.judge(step.Number)
		step.Until = w.tick()
		switch {
		case same && repeated == fmt.Sprint(p.Actions):
			return steps, "what follows cannot be foreseen: " + step.Actions[0].Sentence
		case len(p.Actions) > 0:
			steps = append(steps, step)
		case step.Until == "":
			return steps, w.ending(p)
		case len(steps) > 0: // it takes longer
			last := &steps[len(steps)-1]
			last.Until = strings.TrimPrefix(last.Until+" and "+step.Until, " and ")
		default:
			steps = append(steps, Step{Number: 1, Wanted: step.Wanted, Available: step.Available, Actions: []Action{}, Until: step.Until})
		}
		repeated = fmt.Sprint(p.Actions)
	}
	return steps, fmt.Sprintf("what follows after %d steps was not looked at", most)
}

func (w *world) available() int {
	n := 0
	for _, pod := range w.state.Pods {
		if w.state.Wants(pod.Ordinal) && up(pod) {
			n++
		}
	}
	return n
}

// do carries one action out.
func (w *world) do(a statefulset.Action) Action {
	name := statefulset.PodName(w.state.Name, a.Ordinal)
	said := Action{
		Do: string(a.Verb), Object: "pod/" + name, Reason: string(a.Why),
		Sentence: statefulset.Explain(w.state, statefulset.Plan{Actions: []statefulset.Action{a}})[0],
	}
	if a.Verb == statefulset.GuardSet || a.Verb == statefulset.UnguardSet {
		said.Object = "statefulset/" + w.state.Name
		w.state.Guarded = a.Verb == statefulset.GuardSet
		return said
	}
	i := slices.IndexFunc(w.state.Pods, func(p statefulset.Pod) bool { return p.Ordinal == a.Ordinal })
	if i < 0 {
		return said
	}
	pod := &w.state.Pods[i]
	switch a.Verb {
	case statefulset.CreatePod:
		w.made = append(w.made, name)
		*pod = statefulset.Pod{
			Ordinal: a.Ordinal, Health: statefulset.Pending, Revision: a.Revision, Claims: pod.Claims,
			Override: pod.Override, Overridden: pod.Override,
			Turn: w.state.Order.Turn(w.set.Spec.Template.Labels), ReadyBefore: pod.ReadyBefore,
			UID: types.UID(fmt.Sprintf("preview-%d", len(w.made))),
		}
	case statefulset.DeletePod:
		pod.Terminating = true
	case statefulset.CreateClaim, statefulset.OwnClaim:
		said.Object = "persistentvolumeclaim/" + a.Claim
		own(pod, a)
	case statefulset.GrowClaim:
		said.Object = "persistentvolumeclaim/" + a.Claim
		for j := range pod.Claims {
			if pod.Claims[j].Name == a.Claim {
				pod.Claims[j].TooSmall, pod.Claims[j].Growing = false, true
			}
		}
	case statefulset.PullImages:
		pod.Pull = statefulset.Pulled
	case statefulset.PatchPod:
		pod.Health, pod.Revision, pod.Patchable, pod.Obstacle = statefulset.Starting, a.Revision, false, ""
		pod.NeverStarted, pod.Stuck = false, false
	case statefulset.RepairPod:
		pod.WrongIdentity, pod.WrongStorage = false, false
	}
	return said
}

// own lets a claim exist with its owner.
func own(pod *statefulset.Pod, a statefulset.Action) {
	for i := range pod.Claims {
		claim := &pod.Claims[i]
		if claim.Name != a.Claim {
			continue
		}
		claim.Missing, claim.SetRef, claim.PodRef = false, statefulset.NoRef, statefulset.NoRef
		switch a.Owner {
		case statefulset.BySet:
			claim.SetRef = statefulset.Held
		case statefulset.ByPod:
			claim.PodRef = statefulset.Held
		}
	}
}

// tick lets time pass until all that is under way has come, and says what that was.
func (w *world) tick() string {
	var gone, came, again, grown []string
	kept := w.state.Pods[:0:0]
	for _, pod := range w.state.Pods {
		name := statefulset.PodName(w.state.Name, pod.Ordinal)
		pod.Claims = slices.Clone(pod.Claims)
		for i := range pod.Claims {
			if pod.Claims[i].Growing {
				grown = append(grown, pod.Claims[i].Name)
				pod.Claims[i].Growing = false
			}
		}
		switch {
		case pod.Terminating:
			gone = append(gone, name)
			pod = w.buried(pod)
		case pod.Health == statefulset.Dead && pod.RetryIn > 0:
			again = append(again, name)
			pod.RetryIn = 0
		case pod.Health > statefulset.Dead && pod.Health < statefulset.Available && !pod.Stuck:
			came = append(came, name)
			pod.Health, pod.AvailableIn, pod.Detail = statefulset.Available, 0, ""
			pod.ReadyBefore, pod.Failures = true, 0
		}
		if pod.Health != statefulset.Absent || w.state.Wants(pod.Ordinal) {
			kept = append(kept, pod)
		}
	}
	w.state.Pods = kept
	var until []string
	if len(gone) > 0 {
		until = append(until, names(gone)+" "+is(gone)+" gone")
	}
	if len(grown) > 0 {
		until = append(until, names(grown)+" "+is(grown)+" as large as asked for")
	}
	if len(again) > 0 {
		until = append(until, names(again)+" may be made again (back-off)")
	}
	if len(came) > 0 {
		text := names(came) + " " + is(came) + " ready"
		if s := w.set.Spec.MinReadySeconds; s > 0 {
			text += fmt.Sprintf(" for %s", time.Duration(s)*time.Second)
		}
		until = append(until, text)
	}
	return strings.Join(until, " and ")
}

// buried is what is left at an ordinal whose pod is gone.
func (w *world) buried(pod statefulset.Pod) statefulset.Pod {
	left := statefulset.Pod{Ordinal: pod.Ordinal, Override: pod.Override, ReadyBefore: pod.ReadyBefore, Failures: pod.Failures, Claims: slices.Clone(pod.Claims)}
	for i := range left.Claims {
		claim := &left.Claims[i]
		if claim.PodRef == statefulset.Held {
			w.collected = append(w.collected, claim.Name)
		}
		if claim.PodRef == statefulset.Held || claim.PodRef == statefulset.Stale || claim.Deleting {
			*claim = statefulset.Claim{Name: claim.Name, Template: claim.Template, Missing: true}
		}
	}
	return left
}

// ending says how things are when nothing more happens.
func (w *world) ending(p statefulset.Plan) string {
	for _, pod := range w.state.Pods {
		if w.state.Wants(pod.Ordinal) && pod.Stuck {
			w.stuck = append(w.stuck, fmt.Sprintf("%s is stuck today and stays so: %s", statefulset.PodName(w.state.Name, pod.Ordinal), pod.Detail))
		}
	}
	end := fmt.Sprintf("%d of %s available", w.available(), count(w.state.Replicas, "pod"))
	if w.state.Replicas == 0 {
		end = "no pod"
	}
	if len(p.Holds) == 0 {
		return end
	}
	return end + "; " + strings.Join(statefulset.Explain(w.state, statefulset.Plan{Holds: p.Holds}), "; ")
}

func names(all []string) string {
	const shown = 5
	if len(all) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
	}
	return strings.Join(all, ", ")
}

func is(all []string) string {
	if len(all) == 1 {
		return "is"
	}
	return "are"
}
