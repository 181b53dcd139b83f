package apiserver_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/apiserver/apitest"
)

// TestEventsAreOneInBothGroups writes an event through the newer group and
// reads it through both.
func TestEventsAreOneInBothGroups(t *testing.T) {
	e := apitest.Start(t)
	ctx := t.Context()
	made, err := e.Client.EventsV1().Events("default").Create(ctx, &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: "a", Namespace: "default"},
		EventTime:           metav1.NewMicroTime(time.Now()),
		ReportingController: "berth.dev/test",
		ReportingInstance:   "one",
		Action:              "Doing",
		Reason:              "Done",
		Note:                "hello",
		Type:                corev1.EventTypeNormal,
		Regarding:           corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web-0"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	old, err := e.Client.CoreV1().Events("default").Get(ctx, "a", metav1.GetOptions{})
	if err != nil || old.Message != "hello" || old.InvolvedObject.Name != "web-0" || old.UID != made.UID {
		t.Errorf("core: %+v, %v", old, err)
	}
	list, err := e.Client.EventsV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "regarding.name=web-0"})
	if err != nil || len(list.Items) != 1 || list.Items[0].Note != "hello" {
		t.Errorf("list: %+v, %v", list, err)
	}
	list, err = e.Client.EventsV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "regarding.name=web-1"})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("list of another: %+v, %v", list, err)
	}
}

// TestWhatKindsDoOnCreate checks the rules that need the server around them.
func TestWhatKindsDoOnCreate(t *testing.T) {
	e := apitest.Start(t)
	ctx := t.Context()
	node, err := e.Client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "one"},
		Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.37.2"}},
	}, metav1.CreateOptions{})
	if err != nil || node.Status.NodeInfo.KubeletVersion != "v1.37.2" {
		t.Errorf("a new node does not keep its status: %+v, %v", node, err)
	}
	ns, err := e.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "gen-"},
	}, metav1.CreateOptions{})
	if err != nil || ns.Labels[corev1.LabelMetadataName] != ns.Name || ns.Status.Phase != corev1.NamespaceActive {
		t.Errorf("namespace: %+v, %v", ns, err)
	}
	pod, err := e.Client.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}, metav1.CreateOptions{})
	if err != nil || pod.Status.Phase != corev1.PodPending || pod.Status.QOSClass != corev1.PodQOSBestEffort || pod.Generation != 1 {
		t.Errorf("pod: %+v, %v", pod, err)
	}
	_, err = e.Client.AppsV1().StatefulSets("default").Create(ctx, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "y"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
			},
		},
	}, metav1.CreateOptions{})
	const want = "StatefulSet.apps \"web\" is invalid: spec.template.metadata.labels: Invalid value: {\"app\":\"y\"}: `selector` does not match template `labels`"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
