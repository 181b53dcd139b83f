package admission_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const podsConstraint = `matchConstraints: {resourceRules: [{operations: [CREATE, UPDATE], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}`

func TestValidatingPolicy(t *testing.T) {
	s := start(t)
	s.apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: few}
spec:
  ` + podsConstraint + `
  paramKind: {apiVersion: v1, kind: ConfigMap}
  variables: [{name: most, expression: 'int(params.data.most)'}]
  matchConditions: [{name: named, expression: 'object.metadata.name != "exempt"'}]
  validations:
  - {expression: 'size(object.spec.containers) <= variables.most', messageExpression: '"at most " + string(variables.most) + " containers"', reason: Invalid}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: limits}, data: {most: "1"}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: few}
spec: {policyName: few, validationActions: [Deny], paramRef: {name: limits, namespace: default, parameterNotFoundAction: Deny}}`)
	two := func(name string) string {
		return "{apiVersion: v1, kind: Pod, metadata: {name: " + name + "}, spec: {containers: [{name: c, image: demo}, {name: d, image: demo}]}}"
	}
	const why = `pods "a" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'few' denied request: at most 1 containers`
	until(t, "the policy holds", func() bool { _, err := s.dryRun(two("a")); return err != nil })
	_, err := s.create(two("a"))
	refused(t, err, why)
	if apierrors.ReasonForError(err) != metav1.StatusReasonInvalid {
		t.Errorf("the reason is %s", apierrors.ReasonForError(err))
	}
	s.apply(podNamed("one"))
	s.apply(two("exempt"))

	t.Run("it holds after a restart, from the first request", func(t *testing.T) {
		s.Restart()
		_, err := s.create(two("a"))
		refused(t, err, why)
	})
	t.Run("its parameter changes", func(t *testing.T) {
		limits, err := s.Client.CoreV1().ConfigMaps("default").Patch(t.Context(), "limits", types.MergePatchType, []byte(`{"data": {"most": "2"}}`), metav1.PatchOptions{})
		if err != nil || limits.Data["most"] != "2" {
			t.Fatal(limits, err)
		}
		until(t, "two are allowed", func() bool { _, err := s.dryRun(two("a")); return err == nil })
	})
	t.Run("its parameter goes", func(t *testing.T) {
		s.remove("{apiVersion: v1, kind: ConfigMap, metadata: {name: limits}}")
		until(t, "nothing is allowed", func() bool { _, err := s.dryRun(podNamed("b")); return err != nil })
		_, err := s.create(podNamed("b"))
		refused(t, err, "pods \"b\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'few' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction")
	})
	t.Run("it goes", func(t *testing.T) {
		s.remove("{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: few}}")
		until(t, "all is allowed", func() bool { _, err := s.dryRun(two("a")); return err == nil })
	})
}

func TestPolicyThatWarns(t *testing.T) {
	s := start(t)
	s.apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: labelled}
spec:
  ` + podsConstraint + `
  validations: [{expression: '"team" in object.metadata.?labels.orValue({})', message: say whose it is}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: labelled}
spec: {policyName: labelled, validationActions: [Warn, Audit], matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: other}}`)
	until(t, "it warns", func() bool {
		s.warnings.take()
		_, err := s.dryRun(podNamed("a"))
		return err == nil && len(s.warnings.take()) == 1
	})
	s.apply(podNamed("a"))
	want := "Validation failed for ValidatingAdmissionPolicy 'labelled' with binding 'labelled': say whose it is"
	if got := s.warnings.take(); !slices.Equal(got, []string{want}) {
		t.Errorf("warnings %q", got)
	}
	s.apply("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: other}, spec: {containers: [{name: c, image: demo}]}}")
	if got := s.warnings.take(); len(got) > 0 {
		t.Errorf("warnings in another namespace: %q", got)
	}
}

func TestPolicyAboutCustomResources(t *testing.T) {
	s := start(t)
	s.apply(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, listKind: BoatList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {length: {type: integer}}}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: short}
spec:
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [example.com], apiVersions: ["*"], resources: [boats]}]}
  validations: [{expression: 'request.operation == "DELETE" || object.length < 10'}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: short}
spec: {policyName: short, validationActions: [Deny]}`)
	const long, short = "{apiVersion: example.com/v1, kind: Boat, metadata: {name: a}, length: 20}", "{apiVersion: example.com/v1, kind: Boat, metadata: {name: a}, length: 2}"
	until(t, "boats exist", func() bool { _, err := s.dryRun(short); return err == nil })
	until(t, "long ones do not", func() bool { _, err := s.dryRun(long); return err != nil })
	_, err := s.create(long)
	refused(t, err, `boats.example.com "a" is forbidden: ValidatingAdmissionPolicy 'short' with binding 'short' denied request: failed expression: request.operation == "DELETE" || object.length < 10`)
	s.apply(short)
	s.remove(short)
}

func TestMutatingPolicy(t *testing.T) {
	s := start(t)
	s.apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: sidecar}
spec:
  ` + podsConstraint + `
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  matchConditions: [{name: once, expression: '!object.spec.containers.exists(c, c.name == "side")'}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: 'Object{spec: Object.spec{containers: [Object.spec.containers{name: "side", image: "car"}]}}'}
  - patchType: JSONPatch
    jsonPatch: {expression: '[JSONPatch{op: "add", path: "/metadata/annotations", value: {"by": "policy"}}]'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: sidecar}
spec: {policyName: sidecar}`)
	until(t, "pods get a sidecar", func() bool {
		pod, err := s.Client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "demo"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && len(pod.Spec.Containers) == 2
	})
	s.apply(podNamed("a"))
	pod := s.pod("a")
	if len(pod.Spec.Containers) != 2 || pod.Spec.Containers[1].Image != "car" || pod.Spec.Containers[1].ImagePullPolicy != corev1.PullAlways || pod.Annotations["by"] != "policy" {
		t.Errorf("created %+v %+v", pod.ObjectMeta, pod.Spec.Containers)
	}
	s.Restart()
	s.apply(podNamed("b"))
	if pod := s.pod("b"); len(pod.Spec.Containers) != 2 {
		t.Errorf("after a restart: %+v", pod.Spec.Containers)
	}
}
