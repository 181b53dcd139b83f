package statefulset

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// drawState draws any state that could be observed.
func drawState(t *rapid.T) State {
	s := State{
		Name:            "web",
		Deleting:        rapid.IntRange(0, 20).Draw(t, "deleting") == 0,
		Replicas:        rapid.IntRange(0, 6).Draw(t, "replicas"),
		Start:           rapid.IntRange(0, 3).Draw(t, "start"),
		Parallel:        rapid.Bool().Draw(t, "parallel"),
		Strategy:        rapid.SampledFrom([]Strategy{RollingUpdate, RollingUpdate, RollingUpdate, OnDelete, Recreate}).Draw(t, "strategy"),
		HasRolling:      rapid.Bool().Draw(t, "hasRolling"),
		MaxUnavailable:  1,
		Current:         "A",
		Update:          rapid.SampledFrom([]string{"A", "B"}).Draw(t, "update"),
		CurrentReplicas: rapid.IntRange(0, 6).Draw(t, "currentReplicas"),
		Retention:       Retention{WhenScaled: rapid.Bool().Draw(t, "whenScaled"), WhenDeleted: rapid.Bool().Draw(t, "whenDeleted")},
	}
	s.ScaleDownUnready = rapid.IntRange(0, 3).Draw(t, "scaleDownUnready") == 0
	if s.HasRolling {
		s.Partition = rapid.IntRange(0, 7).Draw(t, "partition")
		s.MaxUnavailable = rapid.IntRange(1, 4).Draw(t, "maxUnavailable")
	}
	if rapid.IntRange(0, 2).Draw(t, "reserve") == 0 {
		first := rapid.IntRange(0, 6).Draw(t, "reserved")
		s.Reserved = options.Ordinals{{First: first, Last: first + rapid.IntRange(0, 2).Draw(t, "more")}}
	}
	s.Teardown = rapid.IntRange(0, 3).Draw(t, "teardown") == 0
	s.Guarded = rapid.IntRange(0, 3).Draw(t, "guarded") == 0
	s.Orphaning = s.Deleting && rapid.Bool().Draw(t, "orphaning")
	s.RecoverTogether = rapid.IntRange(0, 3).Draw(t, "recover") == 0
	s.Order = rapid.SampledFrom([]options.Order{{}, {}, {Ascending: true}, {Label: "role", Values: []string{"a", "b"}}}).Draw(t, "order")
	s.InPlace = rapid.SampledFrom([]options.InPlace{options.Never, options.Never, options.IfPossible, options.Only}).Draw(t, "inPlace")
	s.PrePull = rapid.IntRange(0, 3).Draw(t, "prePull") == 0
	if rapid.IntRange(0, 20).Draw(t, "badOverrides") == 0 {
		s.BadOverrides = "wrong"
	}
	s.Paused = rapid.IntRange(0, 5).Draw(t, "paused") == 0
	s.StartLimit = rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "startLimit")
	if s.RespectBudgets = rapid.IntRange(0, 2).Draw(t, "respectBudgets") == 0; s.RespectBudgets {
		for i := range rapid.IntRange(0, 2).Draw(t, "budgets") {
			b := DisruptionBudget{Name: fmt.Sprint("pdb", i), Allowed: rapid.IntRange(0, 2).Draw(t, "allowed")}
			b.Covers = slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 1, 6, rapid.ID).Draw(t, "covers")))
			s.Budgets = append(s.Budgets, b)
		}
	}
	claims := rapid.IntRange(0, 2).Draw(t, "claims")
	for o := range s.end() + 3 {
		pod := drawPod(t, s, o, claims)
		if pod.Health != Absent || s.inRange(o) {
			s.Pods = append(s.Pods, pod)
		}
	}
	return s
}

func drawPod(t *rapid.T, s State, ordinal, claims int) Pod {
	pod := Pod{Ordinal: ordinal, Override: rapid.SampledFrom([]string{"", "", "x"}).Draw(t, "override")}
	pod.Health = rapid.SampledFrom([]Health{Absent, Dead, Pending, Starting, Ready, Available, Available, Available}).Draw(t, "health")
	if pod.Health != Absent {
		pod.UID = types.UID(fmt.Sprintf("old-%d", ordinal))
		pod.Overridden = rapid.SampledFrom([]string{"", "", "x"}).Draw(t, "overridden")
		pod.Terminating = rapid.IntRange(0, 4).Draw(t, "terminating") == 0
		pod.Revision = rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "revision")
		pod.NeverStarted = pod.Health == Pending && rapid.Bool().Draw(t, "neverStarted")
		pod.WrongIdentity = rapid.IntRange(0, 9).Draw(t, "misnamed") == 0
	}
	if pod.Health != Absent {
		if s.InPlace != options.Never && pod.old(s) {
			if pod.Patchable = rapid.Bool().Draw(t, "patchable"); !pod.Patchable {
				pod.Obstacle = "spec.x cannot change in place"
			}
		}
		if s.PrePull && pod.old(s) {
			pod.Pull = rapid.SampledFrom([]Pull{Pulled, Unasked, Pulling, PullFailed}).Draw(t, "pull")
			pod.PullLeft = time.Duration(rapid.IntRange(0, 1).Draw(t, "pullLeft")) * time.Minute
		}
		pod.Asked = rapid.IntRange(0, 9).Draw(t, "asked") == 0
		if s.Order.Label != "" {
			pod.Turn = rapid.IntRange(0, 2).Draw(t, "turn")
		}
	}
	pod.ReadyBefore = pod.Health >= Ready || rapid.Bool().Draw(t, "before")
	if pod.Health == Dead && rapid.Bool().Draw(t, "backsOff") {
		pod.Failures, pod.RetryIn = 2, time.Second
	}
	if pod.Health == Ready {
		pod.AvailableIn = time.Duration(rapid.IntRange(1, 60).Draw(t, "left")) * time.Second
	}
	for i := range claims {
		c := Claim{Name: ClaimName(fmt.Sprintf("c%d", i), s.Name, ordinal), Template: i}
		switch rapid.IntRange(0, 9).Draw(t, "claim") {
		case 0, 1:
			c.Missing = true
		case 2:
			c.Deleting = true
		case 3:
			c.PodRef = Stale
		default:
			c.SetRef = rapid.SampledFrom([]Ref{NoRef, Plain, Held, Stale}).Draw(t, "setRef")
			if pod.Health != Absent {
				c.PodRef = rapid.SampledFrom([]Ref{NoRef, Plain, Held}).Draw(t, "podRef")
			}
			c.Foreign = (s.Retention.WhenDeleted || s.Retention.WhenScaled) && rapid.IntRange(0, 9).Draw(t, "foreign") == 0
		}
		if !c.Missing && rapid.IntRange(0, 4).Draw(t, "small") == 0 {
			c.TooSmall, c.Wanted = true, "2Gi"
		} else if !c.Missing {
			c.Growing = rapid.IntRange(0, 4).Draw(t, "growing") == 0
		}
		pod.Claims = append(pod.Claims, c)
	}
	if claims > 0 && pod.Health != Absent {
		pod.OlderStorage = rapid.IntRange(0, 9).Draw(t, "olderStorage") == 0
		pod.WrongStorage = pod.OlderStorage
	}
	return pod
}

func drawRules(t *rapid.T) Rules {
	return Rules{
		RepairForcedRollback:   rapid.Bool().Draw(t, "repair"),
		AvailableBeforeCurrent: rapid.Bool().Draw(t, "availableFirst"),
		UpdateParallelPods:     rapid.Bool().Draw(t, "updateParallel"),
		OrderedWindow:          rapid.Bool().Draw(t, "window"),
		BackOff:                rapid.Bool().Draw(t, "backOff"),
		GrowClaims:             rapid.Bool().Draw(t, "growClaims"),
		ServeRecreate:          rapid.Bool().Draw(t, "recreate"),
	}
}
