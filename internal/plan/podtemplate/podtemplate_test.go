package podtemplate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPod(t *testing.T) {
	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"a": "b"}, Finalizers: []string{"x/y"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}},
	}
	whole := template.DeepCopy()
	ref := metav1.OwnerReference{Kind: "ReplicaSet", Name: "web", UID: "u"}
	owner := &metav1.ObjectMeta{Namespace: "ns", Name: "web"}
	pod := Pod(owner, template, ref)
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", GenerateName: "web-", Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"a": "b"},
			Finalizers: []string{"x/y"}, OwnerReferences: []metav1.OwnerReference{ref},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}},
	}
	if diff := cmp.Diff(want, pod); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	pod.Labels["app"], pod.Annotations["a"], pod.Finalizers[0], pod.Spec.Containers[0].Name = "z", "z", "z", "z"
	if diff := cmp.Diff(whole, template); diff != "" {
		t.Errorf("the pod shares the template's parts: %s", diff)
	}
	owner.Name = strings.Repeat("a", 253)
	if got := Pod(owner, template, ref).GenerateName; got != owner.Name {
		t.Errorf("a name of 253 characters became %q", got)
	}
}
