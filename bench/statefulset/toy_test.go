package statefulset

import (
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/bench/statefulset/toy"
)

func create(t *toy.Toy, name string, replicas int32, policy appsv1.PodManagementPolicyType) {
	t.B.Helper()
	labels := map[string]string{"app": "web", "set": name}
	_, err := t.Client.AppsV1().StatefulSets("default").Create(t.B.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To(replicas), ServiceName: "web", PodManagementPolicy: policy,
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: toy.Template(labels),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
}

// await waits until all sets satisfy ok.
func await(t *toy.Toy, what string, sets int, ok func(*appsv1.StatefulSet) bool) {
	t.B.Helper()
	w, err := t.Client.AppsV1().StatefulSets("default").Watch(t.B.Context(), metav1.ListOptions{})
	toy.Await(t, w, err, "sets "+what, sets, ok)
}

func allReady(set *appsv1.StatefulSet) bool { return set.Status.ReadyReplicas == *set.Spec.Replicas }

func rolled(set *appsv1.StatefulSet) bool {
	s := &set.Status
	return s.ObservedGeneration == set.Generation && s.CurrentRevision == s.UpdateRevision &&
		s.UpdatedReplicas == *set.Spec.Replicas && s.ReadyReplicas == *set.Spec.Replicas
}

// deleteAll deletes the sets and waits until nothing of them is left.
func deleteAll(t *toy.Toy) {
	t.B.Helper()
	err := t.Client.AppsV1().StatefulSets("default").DeleteCollection(t.B.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
	t.Gone("pods", "statefulsets", "controllerrevisions")
}

// restart begins a rollout as `kubectl rollout restart` does.
func restart(t *toy.Toy, name string) {
	t.B.Helper()
	_, err := t.Client.AppsV1().StatefulSets("default").Patch(t.B.Context(), name, types.StrategicMergePatchType, toy.Restart(), metav1.PatchOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
}

// endpoints counts the addresses of the sets' service.
func endpoints(t *toy.Toy) (n int) {
	e, err := t.Client.CoreV1().Endpoints("default").Get(t.B.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
	for _, s := range e.Subsets {
		n += len(s.Addresses)
	}
	return n
}
