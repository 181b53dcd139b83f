package apiserver_test

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/apiserver/apitest"
)

func TestEphemeralContainers(t *testing.T) {
	e := apitest.Start(t)
	pods := e.Client.CoreV1().Pods(namespace)
	must[*corev1.Pod](t)(pods.Create(t.Context(), newPod("p"), metav1.CreateOptions{}))
	// What kubectl debug sends.
	patch := `{"spec":{"ephemeralContainers":[{"name":"debugger","image":"shell","stdin":true,"tty":true,"targetContainerName":"c"}]}}`
	pod := must[*corev1.Pod](t)(pods.Patch(t.Context(), "p", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "ephemeralcontainers"))
	if len(pod.Spec.EphemeralContainers) != 1 || pod.Generation != 2 || pod.Spec.EphemeralContainers[0].TerminationMessagePath == "" {
		t.Errorf("generation %d, %+v", pod.Generation, pod.Spec.EphemeralContainers)
	}
	pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "second", Image: "shell"},
	})
	pod.Spec.Containers[0].Image, pod.Labels = "ignored", map[string]string{"ignored": "x"}
	pod = must[*corev1.Pod](t)(pods.UpdateEphemeralContainers(t.Context(), "p", pod, metav1.UpdateOptions{}))
	if len(pod.Spec.EphemeralContainers) != 2 || pod.Spec.Containers[0].Image != "demo" || pod.Labels["app"] != "web" {
		t.Errorf("it becomes %+v", pod)
	}
	pod.Spec.EphemeralContainers = pod.Spec.EphemeralContainers[1:]
	_, err := pods.UpdateEphemeralContainers(t.Context(), "p", pod, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `existing ephemeral containers "debugger" may not be removed`) {
		t.Errorf("removal: %v", err)
	}
	got := must[*corev1.Pod](t)(pods.Get(t.Context(), "p", metav1.GetOptions{}))
	raw := must[[]byte](t)(e.Client.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").Name("p").SubResource("ephemeralcontainers").SetHeader("Accept", "application/json").DoRaw(t.Context()))
	var read corev1.Pod
	if err := json.Unmarshal(raw, &read); err != nil || len(read.Spec.EphemeralContainers) != 2 || read.ResourceVersion != got.ResourceVersion {
		t.Errorf("read through the subresource: %v, %s", err, raw)
	}
}

func TestResize(t *testing.T) {
	e := apitest.Start(t)
	pods := e.Client.CoreV1().Pods(namespace)
	created := newPod("p")
	created.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	must[*corev1.Pod](t)(pods.Create(t.Context(), created, metav1.CreateOptions{}))
	patch := `{"spec":{"containers":[{"name":"c","image":"ignored","resources":{"requests":{"cpu":"2"}}}]}}`
	pod := must[*corev1.Pod](t)(pods.Patch(t.Context(), "p", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "resize"))
	c := pod.Spec.Containers[0]
	if c.Resources.Requests.Cpu().String() != "2" || c.Image != "demo" || pod.Generation != 2 {
		t.Errorf("generation %d: %+v", pod.Generation, c)
	}
	pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi")}
	pod.Spec.Containers[0].Resources.Requests = pod.Spec.Containers[0].Resources.Limits
	_, err := pods.UpdateResize(t.Context(), "p", pod, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing`) {
		t.Errorf("another class of service: %v", err)
	}
}
