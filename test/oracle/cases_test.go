package oracle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
	plan "berth.dev/berth/internal/plan/statefulset"
)

// settled is a set at rest: each pod is available and of the only revision.
func settled(replicas int) (*State, *drawing) {
	d := &drawing{dice: newDice(1, 1), State: &State{Now: metav1.NewTime(epoch)}, wanted: 1}
	d.drawSet()
	spec := &d.Set.Spec
	spec.Replicas, spec.Ordinals, spec.VolumeClaimTemplates, spec.MinReadySeconds = ptr.To(int32(replicas)), nil, nil, 0
	spec.PodManagementPolicy, spec.RevisionHistoryLimit = appsv1.OrderedReadyPodManagement, ptr.To(int32(10))
	spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{
		Type: appsv1.RollingUpdateStatefulSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{
			Partition: ptr.To(int32(0)), MaxUnavailable: ptr.To(intstr.FromInt32(1)),
		},
	}
	d.Set.DeletionTimestamp, d.Set.Annotations = nil, nil
	rev := d.newRevision(1, 1)
	d.Revisions = append(d.Revisions, rev)
	d.Set.Status = appsv1.StatefulSetStatus{ObservedGeneration: d.Set.Generation, CurrentRevision: rev.Name, UpdateRevision: rev.Name}
	for i := range replicas {
		t := template(1)
		pod := plan.NewPod(d.Set, &t, rev.Name, i)
		pod.UID, pod.ResourceVersion, pod.Status.Phase = podUID(i), "1", corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(epoch.Add(-time.Minute))}}
		d.Pods = append(d.Pods, pod)
	}
	return d.State, d
}

// parallel is a Parallel set of which all pods are outdated.
func parallel(replicas, partition, most int, pods string) *State {
	s, _ := settled(replicas)
	s.Set.Spec.PodManagementPolicy, s.Set.Spec.MinReadySeconds = appsv1.ParallelPodManagement, 10
	s.Set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To(int32(partition))
	s.Set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt(most))
	s.Set.Status.UpdateRevision = "web-new"
	for i, pod := range s.Pods {
		switch pods[i] {
		case 'U':
			pod.Status.Conditions[0].Status = corev1.ConditionFalse
		case 'T':
			pod.DeletionTimestamp = &s.Now
		case 'M':
			pod.Status.Conditions[0].LastTransitionTime = metav1.NewTime(epoch.Add(-time.Second))
		}
	}
	return s
}

// story is what ours does, a line for each write but that of the status.
func story(t *testing.T, s *State) []string {
	t.Helper()
	a := Ours(t.Context(), s, plan.Upstream)
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	out := []string{}
	for _, w := range a.Writes {
		if w.Kind != setKind {
			out = append(out, fmt.Sprintf("%s %s %s", w.Verb, w.Kind, w.Name))
		}
	}
	return out
}

// The cases are what the comparison found beside the planner's (oracle.txt).

func TestNothingToDo(t *testing.T) {
	s, _ := settled(3)
	if diff := cmp.Diff([]string{}, story(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestCollisionKeepsTheFirstHashOnTheLabel(t *testing.T) {
	s, d := settled(0)
	taken := d.newRevision(2, 1)
	taken.Data.Raw, taken.Labels, taken.OwnerReferences = []byte(`{"spec":{}}`), nil, nil
	s.Revisions = append(s.Revisions, taken)
	s.Set.Spec.Template, s.Set.Generation = template(2), s.Set.Generation+1
	after, err := s.after(Ours(t.Context(), s, plan.Upstream).Writes)
	if err != nil {
		t.Fatal(err)
	}
	made := revision.Named(after.Revisions, after.Set.Status.UpdateRevision)
	first, _ := strings.CutPrefix(taken.Name, setName+"-")
	if made == nil || made.Name == taken.Name || made.Labels[revision.HashLabel] != first {
		t.Errorf("made %v; its label has to be %s", made, first)
	}
}

func TestHistoryOfNoneIsCutAtOnce(t *testing.T) {
	s, _ := settled(0)
	old := s.Revisions[0].Name
	s.Set.Spec.RevisionHistoryLimit, s.Set.Status.CurrentRevision = ptr.To(int32(0)), ""
	s.Set.Spec.Template, s.Set.Generation = template(2), s.Set.Generation+1
	if got := story(t, s); !slices.Contains(got, "delete ControllerRevision "+old) {
		t.Errorf("it does %v; revision %s is in no use", got, old)
	}
}

func TestAdoptedRevisionIsRenumbered(t *testing.T) {
	s, d := settled(0)
	s.Revisions = append(s.Revisions, d.newRevision(2, 2))
	s.Revisions[0].OwnerReferences = nil
	s.Set.Generation++
	want := []string{"patch ControllerRevision " + s.Revisions[0].Name, "update ControllerRevision " + s.Revisions[0].Name}
	if diff := cmp.Diff(want, story(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyTheNameAsksForIdentity(t *testing.T) {
	s, _ := settled(1)
	delete(s.Pods[0].Labels, appsv1.PodIndexLabel)
	if diff := cmp.Diff([]string{}, story(t, s)); diff != "" {
		t.Error(diff)
	}
	s.Pods[0].Labels[appsv1.StatefulSetPodNameLabel] = "web-7"
	if diff := cmp.Diff([]string{"update Pod web-0"}, story(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestEventsSayItInUpstreamsWords(t *testing.T) {
	s, _ := settled(2)
	s.Pods = s.Pods[:1]
	want := []Event{{corev1.EventTypeNormal, "SuccessfulCreate", "Create Pod web-1 in StatefulSet web successful"}}
	if diff := cmp.Diff(want, Ours(t.Context(), s, plan.Upstream).Events); diff != "" {
		t.Error(diff)
	}
}

// What the API refuses is not counted: a pod that could not be deleted for the
// update is still current.
func TestRefusedDeleteIsNotCounted(t *testing.T) {
	s, d := settled(2)
	s.Set.Spec.Template, s.Set.Generation = template(2), s.Set.Generation+1
	s.Revisions = append(s.Revisions, d.newRevision(2, 2))
	for refused, want := range map[string]int32{"": 1, "delete Pod web-1": 2} {
		s.Refused = []string{refused}
		a := Ours(t.Context(), s, plan.Upstream)
		after, err := s.after(a.Writes)
		if err != nil {
			t.Fatal(err)
		}
		if got := after.Set.Status.CurrentReplicas; got != want || (a.Error == "") != (refused == "") {
			t.Errorf("refused %q: %d current replicas, want %d; error %q", refused, got, want, a.Error)
		}
	}
}

// A claim that cannot be made for a pod that is there says nothing of making the pod.
func TestRefusedClaimOfAPendingPod(t *testing.T) {
	s, d := settled(1)
	s.Set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claimTemplate(d.dice, "data")}
	s.Refused = []string{"create PersistentVolumeClaim data-web-0"}
	for phase, want := range map[corev1.PodPhase]int{corev1.PodPending: 0, corev1.PodRunning: 1} {
		s.Pods[0].Status.Phase = phase
		told := 0
		for _, e := range Ours(t.Context(), s, plan.Upstream).Events {
			if e.Reason == "FailedCreate" && strings.HasPrefix(e.Message, "Create Pod") {
				t.Errorf("%s: %s", phase, e.Message)
			}
			if e.Reason == "FailedUpdate" {
				told++
			}
		}
		if told != want {
			t.Errorf("%s: %d events of a failed update, want %d", phase, told, want)
		}
	}
}
