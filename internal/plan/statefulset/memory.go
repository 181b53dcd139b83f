package statefulset

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// Conditions by which a set remembers what its pods do not show. They are read
// back by Observe, so that a restart of the controller forgets nothing.
const (
	// ConditionReadyBefore lists, in its message, the ordinals that have been
	// ready and so recover together.
	ConditionReadyBefore appsv1.StatefulSetConditionType = "ReadyBefore"
	// ConditionBackOff lists, in its message, the pods that keep ending.
	ConditionBackOff appsv1.StatefulSetConditionType = "BackOff"
)

// Reasons of these conditions.
const (
	RecoverTogether = "RecoverTogether"
	PodsKeepEnding  = "PodsKeepEnding"
)

// failure is what ConditionBackOff says of one ordinal.
type failure struct {
	times int
	last  time.Time
}

const sayFailure = "%s: replaced %d times without becoming available, last at %s"

var readFailure = regexp.MustCompile(`(\S+): replaced (\d+) times without becoming available, last at (\S+)`)

// failures reads ConditionBackOff.
func (f Facts) failures() map[int]failure {
	c := find(f.Set.Status.Conditions, ConditionBackOff)
	if c == nil {
		return nil
	}
	all := map[int]failure{}
	for line := range strings.SplitSeq(c.Message, "; ") {
		parts := readFailure.FindStringSubmatch(line)
		if parts == nil {
			continue
		}
		_, ordinal, ok := ParseName(parts[1])
		times, err := strconv.Atoi(parts[2])
		last, bad := time.Parse(time.RFC3339, parts[3])
		if ok && err == nil && bad == nil {
			all[ordinal] = failure{times, last}
		}
	}
	return all
}

// remember fills in what the conditions say.
func remember(f Facts, pods []Pod) {
	var before options.Ordinals
	if c := find(f.Set.Status.Conditions, ConditionReadyBefore); c != nil {
		before, _ = options.ParseOrdinals(c.Message)
	}
	failed := f.failures()
	for i := range pods {
		p := &pods[i]
		p.ReadyBefore = p.Health >= Ready || before.Has(p.Ordinal)
		if past, ok := failed[p.Ordinal]; ok && p.Health != Available {
			p.Failures = past.times
			p.RetryIn = max(past.last.Add(backOff(past.times)).Sub(f.Now), 0)
		}
	}
}

// backOff is how long an ordinal waits for its next pod: not at all after the
// first that ended, then a second, doubling up to five minutes.
func backOff(times int) time.Duration {
	const longest = 5 * time.Minute
	if times > 9 {
		return longest
	}
	return min(time.Second<<max(times-1, 0), longest)
}

// memories are the conditions to keep after a decision; nil ones are to go.
func (s State) memories(f Facts, p Plan) (before, ending *appsv1.StatefulSetCondition) {
	var ready options.Ordinals
	var lines []string
	failed := f.failures()
	for _, pod := range s.Pods {
		if !s.inRange(pod.Ordinal) {
			continue
		}
		if pod.ReadyBefore {
			ready = ready.With(pod.Ordinal)
		}
		past := failed[pod.Ordinal]
		past.times = pod.Failures
		if p.replacesEnded(pod.Ordinal) {
			past = failure{pod.Failures + 1, f.Now}
		}
		if past.times > 0 {
			lines = append(lines, fmt.Sprintf(sayFailure, PodName(s.Name, pod.Ordinal), past.times, past.last.UTC().Format(time.RFC3339)))
		}
	}
	if s.RecoverTogether && len(ready) > 0 {
		before = &appsv1.StatefulSetCondition{Type: ConditionReadyBefore, Status: corev1.ConditionTrue, Reason: RecoverTogether, Message: ready.String()}
	}
	if len(lines) > 0 {
		ending = &appsv1.StatefulSetCondition{Type: ConditionBackOff, Status: corev1.ConditionTrue, Reason: PodsKeepEnding, Message: strings.Join(lines, "; ")}
	}
	return before, ending
}

// replacesEnded reports whether the plan replaces a pod that has ended.
func (p Plan) replacesEnded(ordinal int) bool {
	return slices.ContainsFunc(p.Actions, func(a Action) bool { return a.Verb == DeletePod && a.Why == Ended && a.Ordinal == ordinal })
}
