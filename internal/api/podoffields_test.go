package api

import (
	"os"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// guideFields are the fields that the guide to Pods explains, by the type that
// holds them.
const guideFields = `
	ObjectMeta: name namespace labels annotations
	PodSpec: containers restartPolicy nodeSelector imagePullSecrets volumes
	Container: name image imagePullPolicy command workingDir volumeMounts ports env resources
	Container: readinessProbe livenessProbe securityContext
	VolumeMount: name mountPath readOnly
	ContainerPort: name containerPort protocol
	EnvVar: name value
	ResourceRequirements: limits requests
	Probe: timeoutSeconds initialDelaySeconds periodSeconds successThreshold failureThreshold
	ProbeHandler: exec httpGet tcpSocket
	ExecAction: command
	HTTPGetAction: path port httpHeaders
	HTTPHeader: name value
	TCPSocketAction: port
	SecurityContext: privileged
	LocalObjectReference: name
	Volume: name
	VolumeSource: emptyDir hostPath secret configMap
	HostPathVolumeSource: path
	SecretVolumeSource: secretName defaultMode
	ConfigMapVolumeSource: defaultMode`

// TestPodOfFields takes a Pod that uses every field of the guide, without a
// word of complaint and without losing one.
func TestPodOfFields(t *testing.T) {
	text, err := os.ReadFile("testdata/pod-of-fields.yaml")
	if err != nil {
		t.Fatal(err)
	}
	obj, gvk, err := serializer.NewCodecFactory(Scheme, serializer.EnableStrict).UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, pod := kindOf(t, *gvk), obj.(*corev1.Pod)
	Scheme.Default(pod)
	k.PrepareCreate(t.Context(), pod)
	if errs := k.Validate(t.Context(), pod); len(errs) > 0 {
		t.Errorf("refused: %v", errs.ToAggregate())
	}
	if warnings := k.Warnings(t.Context(), pod, nil); len(warnings) > 0 {
		t.Errorf("warned: %v", warnings)
	}
	have := map[string]bool{}
	setFields(reflect.ValueOf(*pod), have)
	for line := range strings.Lines(strings.TrimSpace(guideFields)) {
		owner, names, _ := strings.Cut(line, ":")
		for name := range strings.FieldsSeq(names) {
			if field := strings.TrimSpace(owner) + "." + name; !have[field] {
				t.Errorf("the pod does not have %s", field)
			}
		}
	}
}
