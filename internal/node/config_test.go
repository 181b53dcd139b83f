package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestVolumesThatAreOnlyRead(t *testing.T) {
	for name, c := range map[string]struct {
		source corev1.VolumeSource
		want   bool
	}{
		"configMap":         {corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}, true},
		"secret":            {corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}, true},
		"downwardAPI":       {corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{}}, true},
		"projected":         {corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}, true},
		"claim for reading": {corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ReadOnly: true}}, true},
		"claim":             {corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}, false},
		"emptyDir":          {corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, false},
		"hostPath":          {corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{
				{Name: "other", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}},
				{Name: "v", VolumeSource: c.source},
			}}}
			if got := onlyRead(pod, "v"); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestLasting(t *testing.T) {
	id := "c83ea1bc6b803e4bda9b666b1e28ce2da01814836ea7311d7f52b07d1ae0270c"
	for in, want := range map[string]string{
		`unable to get OCI runtime for sandbox "` + id + `": no runtime`: `unable to get OCI runtime for sandbox: no runtime`,
		`failed to start ` + id + ` again`:                               `failed to start again`,
		`image "demo@sha256:` + id + `" is broken`:                       `image "demo@sha256:` + id + `" is broken`,
		`secret "nope" not found`:                                        `secret "nope" not found`,
	} {
		if got := lasting(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
