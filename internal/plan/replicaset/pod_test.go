package replicaset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

func TestControllerRoundTrip(t *testing.T) {
	rc := &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.ReplicationControllerSpec{
			Replicas: ptr.To(int32(3)), MinReadySeconds: 4, Selector: map[string]string{"app": "web"},
			Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}},
		},
		Status: corev1.ReplicationControllerStatus{
			Replicas: 1, FullyLabeledReplicas: 2, ReadyReplicas: 3, AvailableReplicas: 4, ObservedGeneration: 5,
			Conditions: []corev1.ReplicationControllerCondition{{Type: "ReplicaFailure", Status: "True", Reason: "FailedCreate", Message: "m"}},
		},
	}
	set := FromController(rc)
	if *set.Spec.Replicas != 3 || set.Spec.MinReadySeconds != 4 || set.Spec.Selector.MatchLabels["app"] != "web" || set.Spec.Template.Labels["app"] != "web" {
		t.Errorf("spec %+v", set.Spec)
	}
	if diff := cmp.Diff(rc.Status, ControllerStatus(set.Status)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// Whatever pods there are: what is decided leads to as many as are wanted, takes
// only pods that count, and never one that is ready in place of one that is not.
func TestDecideLeadsToWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Facts{Now: now, Set: &appsv1.ReplicaSet{}}
		f.Set.Spec.Replicas = ptr.To(rapid.Int32Range(0, 8).Draw(t, "replicas"))
		for range rapid.IntRange(0, 10).Draw(t, "pods") {
			pod := &corev1.Pod{}
			pod.Name = rapid.StringMatching(`[a-z]{6}`).Draw(t, "name")
			pod.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{"Pending", "Running", "Failed", "Succeeded", "Unknown"}).Draw(t, "phase")
			if rapid.Bool().Draw(t, "ready") && pod.Status.Phase == corev1.PodRunning {
				pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			}
			if rapid.IntRange(0, 3).Draw(t, "terminating") == 0 {
				pod.DeletionTimestamp = &metav1.Time{Time: now}
			}
			f.Pods = append(f.Pods, pod)
		}
		f.Related = f.Pods
		p := Decide(f)
		status := Status(f, p, Outcome{})
		if left := int(status.Replicas) + p.Create - len(p.Delete); left != int(*f.Set.Spec.Replicas) {
			t.Fatalf("%d pods will be there, wanted are %d", left, *f.Set.Spec.Replicas)
		}
		taken, ready := map[*corev1.Pod]bool{}, 0
		for _, pod := range p.Delete {
			if taken[pod] || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed {
				t.Fatalf("%s is deleted: twice, or without need", pod.Name)
			}
			taken[pod] = true
			ready += len(pod.Status.Conditions)
		}
		if unready := int(status.Replicas - status.ReadyReplicas); ready > 0 && len(p.Delete)-ready < unready {
			t.Fatalf("%d ready pods are deleted and unready ones kept", ready)
		}
	})
}
