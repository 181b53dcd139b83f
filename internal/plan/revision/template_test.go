package revision

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/api/defaults"
)

// The hashes of the tutorial's templates. Upstream hashes how Go prints a
// template, so a release whose libraries know another field gives other ones, and
// this fails after such an update; then take the new ones, as upstream does. With
// the libraries of 1.36.3 the same code gives what a control plane of that release
// gave: 6b799bd7f6, 649ddf478b, 696cc84dd4, 79c6d6d659.
func TestTemplateHash(t *testing.T) {
	for image, want := range map[string]string{
		"nginx:1.7.9":       "64bccb4548",
		"nginx:1.9.1":       "6596694446",
		"dotbalo/canary:v1": "6c74965d84",
		"dotbalo/canary:v2": "5fb77c78f7",
	} {
		template := &corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "nginx"}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "nginx", Image: image, Ports: []corev1.ContainerPort{{ContainerPort: 80}},
			}}},
		}
		defaults.PodTemplateSpec(template)
		if got := TemplateHash(template, nil); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
		if TemplateHash(template, ptr.To(int32(0))) == want || TemplateHash(template, ptr.To(int32(1))) == TemplateHash(template, ptr.To(int32(0))) {
			t.Errorf("%s: collisions make no other hash", image)
		}
	}
}
