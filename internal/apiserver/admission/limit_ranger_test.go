package admission_test

import "testing"

func TestLimitRanger(t *testing.T) {
	s := start(t)
	s.apply(podNamed("before"))
	if r := s.pod("before").Spec.Containers[0].Resources; len(r.Requests)+len(r.Limits) > 0 {
		t.Errorf("without a limit range a pod has %v", r)
	}
	s.apply(`
apiVersion: v1
kind: LimitRange
metadata: {name: l}
spec:
  limits:
  - {type: Container, min: {cpu: 100m}, max: {cpu: "1", memory: 1Gi}, default: {cpu: 500m}, defaultRequest: {cpu: 250m}, maxLimitRequestRatio: {cpu: "4"}}
  - {type: Pod, max: {memory: 1536Mi}}
  - {type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: 2Gi}}`)
	pod := func(name, containers string) string {
		return "{apiVersion: v1, kind: Pod, metadata: {name: " + name + "}, spec: {containers: [" + containers + "]}}"
	}
	until(t, "the limits hold", func() bool {
		_, err := s.dryRun(pod("a", "{name: c, image: demo, resources: {requests: {cpu: 10m}}}"))
		return err != nil
	})
	s.apply(pod("plain", "{name: c, image: demo}"))
	plain := s.pod("plain")
	r := plain.Spec.Containers[0].Resources
	if r.Requests.Cpu().String() != "250m" || r.Limits.Cpu().String() != "500m" || r.Limits.Memory().String() != "1Gi" || r.Requests.Memory().String() != "1Gi" {
		t.Errorf("defaults are %v", r)
	}
	if got := plain.Annotations["kubernetes.io/limit-ranger"]; got != "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c" {
		t.Errorf("annotation %q", got)
	}
	for containers, want := range map[string]string{
		"{name: c, image: demo, resources: {requests: {cpu: 50m}}}":                          "[minimum cpu usage per Container is 100m, but request is 50m, cpu max limit to request ratio per Container is 4, but provided ratio is 10.000000]",
		"{name: c, image: demo, resources: {limits: {cpu: 2}, requests: {cpu: 1}}}":          "maximum cpu usage per Container is 1, but limit is 2",
		"{name: c, image: demo}, {name: d, image: demo, resources: {limits: {memory: 1Gi}}}": "maximum memory usage per Pod is 1536Mi, but limit is 2Gi",
	} {
		_, err := s.create(pod("bad", containers))
		refused(t, err, `pods "bad" is forbidden: `+want)
	}
	claim := func(size string) string {
		return "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c" + size[:1] + "}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: " + size + "}}}}"
	}
	_, err := s.create(claim("3Gi"))
	refused(t, err, `persistentvolumeclaims "c3" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi`)
	s.apply(claim("2Gi"))
	s.Restart()
	_, err = s.create(pod("bad", "{name: c, image: demo, resources: {requests: {cpu: 200m}, limits: {cpu: 3}}}"))
	if err == nil {
		t.Error("after a restart nothing is limited")
	}
}
