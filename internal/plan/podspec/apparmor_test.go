package podspec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/podspec"
)

func TestAppArmor(t *testing.T) {
	byRuntime := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	none := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	local := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: ptr.To("mine")}
	for name, c := range map[string]struct {
		pod, container *corev1.AppArmorProfile
		annotation     string
		want           *corev1.AppArmorProfile
		confined       bool
	}{
		"nothing":                            {},
		"the pod's":                          {pod: byRuntime, want: byRuntime, confined: true},
		"the container's is first":           {pod: byRuntime, annotation: "unconfined", container: local, want: local, confined: true},
		"the annotation before the pod's":    {pod: none, annotation: "localhost/mine", want: local, confined: true},
		"the annotation, by the runtime":     {annotation: "runtime/default", want: byRuntime, confined: true},
		"the annotation, not at all":         {annotation: "unconfined", want: none},
		"not at all":                         {pod: none, want: none},
		"the pod's, which no container uses": {pod: byRuntime, container: none, want: none, confined: true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
			if c.pod != nil {
				pod.Spec.SecurityContext = &corev1.PodSecurityContext{AppArmorProfile: c.pod}
			}
			if c.container != nil {
				pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{AppArmorProfile: c.container}
			}
			if c.annotation != "" {
				pod.Annotations = map[string]string{"container.apparmor.security.beta.kubernetes.io/c": c.annotation}
			}
			if diff := cmp.Diff(c.want, podspec.AppArmor(pod, &pod.Spec.Containers[0])); diff != "" {
				t.Error(diff)
			}
			if got := podspec.WantsAppArmor(pod); got != c.confined {
				t.Errorf("confined: %v", got)
			}
		})
	}
}
