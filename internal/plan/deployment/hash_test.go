package deployment

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSameTemplate(t *testing.T) {
	template := func(labels map[string]string, image string) *corev1.PodTemplateSpec {
		return &corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}},
		}
	}
	a := template(map[string]string{"app": "web", HashLabel: "x"}, "a")
	for _, c := range []struct {
		b    *corev1.PodTemplateSpec
		want bool
	}{
		{template(map[string]string{"app": "web"}, "a"), true},
		{template(map[string]string{"app": "web", HashLabel: "y"}, "a"), true},
		{template(map[string]string{"app": "db"}, "a"), false},
		{template(map[string]string{"app": "web"}, "b"), false},
	} {
		if SameTemplate(a, c.b) != c.want || SameTemplate(c.b, a) != c.want {
			t.Errorf("%v and %v: want %t", a.Labels, c.b.Labels, c.want)
		}
	}
	if a.Labels[HashLabel] != "x" {
		t.Error("the label was taken off the original")
	}
}
