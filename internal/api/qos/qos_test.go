package qos

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestClass(t *testing.T) {
	const full = `{cpu: "1", memory: 1Gi}`
	for spec, want := range map[string]corev1.PodQOSClass{
		`{containers: [{name: a}]}`: corev1.PodQOSBestEffort,
		`{containers: [{resources: {requests: ` + full + `, limits: ` + full + `}}]}`:                       corev1.PodQOSGuaranteed,
		`{containers: [{resources: {requests: ` + full + `, limits: ` + full + `}}, {}]}`:                   corev1.PodQOSBurstable,
		`{containers: [{resources: {requests: {cpu: 500m, memory: 1Gi}, limits: ` + full + `}}]}`:           corev1.PodQOSBurstable,
		`{containers: [{resources: {limits: {cpu: "1"}, requests: {cpu: "1"}}}]}`:                           corev1.PodQOSBurstable,
		`{containers: [{resources: {requests: {ephemeral-storage: 1Gi}}}]}`:                                 corev1.PodQOSBestEffort,
		`{containers: [{resources: {requests: {cpu: "0"}}}]}`:                                               corev1.PodQOSBestEffort,
		`{initContainers: [{}], containers: [{resources: {requests: ` + full + `, limits: ` + full + `}}]}`: corev1.PodQOSBurstable,
		`{resources: {requests: ` + full + `, limits: ` + full + `}, containers: [{}]}`:                     corev1.PodQOSGuaranteed,
	} {
		var p corev1.Pod
		if err := yaml.UnmarshalStrict([]byte("spec: "+spec), &p); err != nil {
			t.Fatal(err)
		}
		if got := Class(&p); got != want {
			t.Errorf("%s: got %s, want %s", spec, got, want)
		}
	}
}
