package oracle

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	plan "berth.dev/berth/internal/plan/statefulset"
)

func text(t *testing.T, s *State) string {
	t.Helper()
	out, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestDrawIsRepeatable(t *testing.T) {
	for n := range uint64(50) {
		a, b, c := Draw(3, n), Draw(3, n), Draw(4, n)
		if diff := cmp.Diff(text(t, a), text(t, b)); diff != "" {
			t.Fatalf("state %d is drawn twice, unlike:\n%s", n, diff)
		}
		if text(t, a) == text(t, c) {
			t.Errorf("state %d is the same for another seed", n)
		}
		React(a, 3, n)
		React(b, 3, n)
		if diff := cmp.Diff(text(t, a), text(t, b)); diff != "" {
			t.Fatalf("the world reacts to state %d unlike itself:\n%s", n, diff)
		}
	}
}

// TestDrawKeepsItsPromises follows histories with our own controller.
func TestDrawKeepsItsPromises(t *testing.T) {
	for n := range uint64(200) {
		s := Draw(1, n)
		for step := range uint64(6) {
			if !s.possible() {
				t.Fatalf("history %d, step %d: the status tells of another revision\n%s", n, step, s)
			}
			for _, claim := range s.Claims {
				controls := func(ref metav1.OwnerReference) bool { return ptr.Deref(ref.Controller, false) }
				if i := slices.IndexFunc(claim.OwnerReferences, controls); i >= 0 && slices.ContainsFunc(claim.OwnerReferences[i+1:], controls) {
					t.Fatalf("history %d, step %d: claim %s has two controllers", n, step, claim.Name)
				}
			}
			var err error
			if s, err = s.after(Ours(t.Context(), s, plan.Upstream).Writes); err != nil {
				t.Fatal(err)
			}
			React(s, 1+n, step)
		}
	}
}

// TestDrawCovers counts what the states are made of.
func TestDrawCovers(t *testing.T) {
	const drawn = 3000
	seen := map[string]int{}
	see := func(what string, is bool) {
		if is {
			seen[what]++
		} else {
			seen[what] += 0
		}
	}
	for n := range uint64(drawn) {
		s := Draw(2, n)
		spec, status := &s.Set.Spec, &s.Set.Status
		rolling := spec.UpdateStrategy.RollingUpdate
		see("Parallel", s.parallel())
		see("OnDelete", spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType)
		see("bare RollingUpdate", spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && rolling == nil)
		see("partition", rolling != nil && *rolling.Partition > 0)
		see("maxUnavailable", rolling != nil && rolling.MaxUnavailable.IntValue() > 1)
		see("start", s.start() > 0)
		see("minReadySeconds", spec.MinReadySeconds > 0)
		see("deleted set", s.Set.DeletionTimestamp != nil)
		see("new template", status.ObservedGeneration != s.Set.Generation)
		see("rollout under way", status.CurrentRevision != status.UpdateRevision)
		see("all available", !s.broken() && *spec.Replicas > 0)
		see("collision", slices.ContainsFunc(s.Revisions, func(r *appsv1.ControllerRevision) bool { return r.Labels["app"] != setName }))
		see("orphan revision", slices.ContainsFunc(s.Revisions, func(r *appsv1.ControllerRevision) bool { return len(r.OwnerReferences) == 0 }))
		see("excess history", len(s.Revisions) > int(*spec.RevisionHistoryLimit)+2)
		for _, pod := range s.Pods {
			ordinal := s.ordinal(pod.Name)
			see("pod "+string(pod.Status.Phase), true)
			see("pod terminating", pod.DeletionTimestamp != nil)
			see("pod surplus", ordinal < s.start() || ordinal >= s.end())
			see("pod misnamed", pod.Labels[appsv1.StatefulSetPodNameLabel] != pod.Name)
			see("pod not the set's", !metav1.IsControlledBy(pod, s.Set))
			see("pod of a forgotten revision", revisionOf(pod) == "" || revisionOf(pod) == "web-forgotten")
			see("pod with a strange volume", slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "strange" }))
		}
		for _, claim := range s.Claims {
			see("claim terminating", claim.DeletionTimestamp != nil)
			for _, ref := range claim.OwnerReferences {
				see("claim of "+ref.Kind, true)
				see("claim of a former object", ref.UID == setUID+"-old" || ref.Kind == podKind && s.pod(s.ordinal(ref.Name)) != nil && ref.UID != podUID(s.ordinal(ref.Name)))
				see("claim owned but not controlled", !ptr.Deref(ref.Controller, false))
			}
		}
	}
	for what, n := range seen {
		if n < drawn/200 {
			t.Errorf("%s: %d times in %d states", what, n, drawn)
		}
	}
}

func TestShrink(t *testing.T) {
	for n := range uint64(200) {
		s := Draw(5, n)
		bad := func(s *State) bool { return s.pod(1) != nil && s.parallel() }
		if !bad(s) {
			continue
		}
		small := Shrink(s, bad)
		if !bad(small) || len(small.Pods) != 1 || len(small.Claims) != 0 || len(small.Set.Spec.VolumeClaimTemplates) != 0 || *small.Set.Spec.Replicas != 0 {
			t.Fatalf("state %d is not as plain as it goes:\n%s", n, small)
		}
		return
	}
	t.Fatal("no state to shrink")
}
