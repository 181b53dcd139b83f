// Package deployment measures what Deployments cost on toy nodes: create,
// rolling update, delete. Run it by hand:
// go test -run '^$' -bench . -benchtime 1x ./bench/deployment
package deployment

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/bench/statefulset/toy"
)

// BenchmarkToy is how much Berth itself costs: toy nodes make pods Ready at
// once, all else is real.
func BenchmarkToy(b *testing.B) {
	toy.Bench(b, toy.Options{Loop: "deployment"},
		toy.Part{Name: "One", Run: func(t *toy.Toy, r *toy.Rows) { story(t, r, 1, 1000) }},
		toy.Part{Name: "Many", Run: func(t *toy.Toy, r *toy.Rows) { story(t, r, 100, 10) }})
}

// story creates Deployments, rolls them and deletes them.
func story(t *toy.Toy, r *toy.Rows, deployments, each int) {
	pods := deployments * each
	name := fmt.Sprintf("%d x %d", deployments, each)
	r.Measure(t, name+": create", pods, func() {
		for i := range deployments {
			create(t, fmt.Sprintf("web%d", i), int32(each))
		}
		await(t, "are available", deployments, available)
	})
	r.Measure(t, name+": rolling update", pods, func() {
		for i := range deployments {
			restart(t, fmt.Sprintf("web%d", i))
		}
		await(t, "are rolled", deployments, rolled)
	})
	r.Measure(t, name+": delete", pods, func() { deleteAll(t) })
}

func create(t *toy.Toy, name string, replicas int32) {
	t.B.Helper()
	labels := map[string]string{"app": "web", "deployment": name}
	_, err := t.Client.AppsV1().Deployments("default").Create(t.B.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(replicas), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: toy.Template(labels),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
}

func restart(t *toy.Toy, name string) {
	t.B.Helper()
	_, err := t.Client.AppsV1().Deployments("default").Patch(t.B.Context(), name, types.StrategicMergePatchType, toy.Restart(), metav1.PatchOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
}

// await waits until all Deployments satisfy ok.
func await(t *toy.Toy, what string, deployments int, ok func(*appsv1.Deployment) bool) {
	t.B.Helper()
	w, err := t.Client.AppsV1().Deployments("default").Watch(t.B.Context(), metav1.ListOptions{})
	toy.Await(t, w, err, "Deployments "+what, deployments, ok)
}

func available(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration == d.Generation && d.Status.AvailableReplicas == *d.Spec.Replicas
}

// rolled also asks that no pod of the old template is left.
func rolled(d *appsv1.Deployment) bool {
	return available(d) && d.Annotations["deployment.kubernetes.io/revision"] == "2" &&
		d.Status.UpdatedReplicas == *d.Spec.Replicas && d.Status.Replicas == *d.Spec.Replicas
}

// deleteAll deletes the Deployments and waits until nothing of them is left.
func deleteAll(t *toy.Toy) {
	t.B.Helper()
	err := t.Client.AppsV1().Deployments("default").DeleteCollection(t.B.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
	t.Gone("deployments", "replicasets", "pods")
}
