package drill_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/drill"
)

// web is a set of two that is whole; its pods begin with web-1.
func web(change func(*appsv1.StatefulSet, []corev1.Pod)) drill.Subject {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Generation: 3}}
	set.Spec.Replicas = ptr.To[int32](2)
	set.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 1}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web", Image: "web:1"}, {Name: "log", Image: "log:1"}}
	set.Status = appsv1.StatefulSetStatus{ObservedGeneration: 3, UpdateRevision: "web-b"}
	var pods []corev1.Pod
	for i, name := range []string{"web-1", "web-2"} {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("u" + name), Labels: map[string]string{appsv1.StatefulSetRevisionLabel: "web-b"}}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		p.Status.PodIP = []string{"10.0.0.1", "10.0.0.2"}[i]
		p.Status.ContainerStatuses = []corev1.ContainerStatus{
			{Name: "web", Image: "web:1", ContainerID: "containerd://web" + name, RestartCount: 4},
			{Name: "log", Image: "log:1", ContainerID: "containerd://log" + name},
		}
		pods = append(pods, p)
	}
	if change != nil {
		change(set, pods)
	}
	return drill.Subject{Set: set, Pods: pods}
}

func TestRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		kind, pod, want string
		change          func(*appsv1.StatefulSet, []corev1.Pod)
	}{
		"whole":         {drill.Pod, "", "", nil},
		"one of it":     {drill.Pod, "web-2", "", nil},
		"not one of it": {drill.Pod, "web-0", "web-0 is no pod of it", nil},
		"empty":         {drill.Pod, "", "no replicas", func(s *appsv1.StatefulSet, _ []corev1.Pod) { s.Spec.Replicas = ptr.To[int32](0) }},
		"more to come":  {drill.Pod, "", "web-3 does not exist", func(s *appsv1.StatefulSet, _ []corev1.Pod) { s.Spec.Replicas = ptr.To[int32](3) }},
		"some to go":    {drill.Pod, "", "more pods than it should", func(s *appsv1.StatefulSet, _ []corev1.Pod) { s.Spec.Replicas = ptr.To[int32](1) }},
		"not ready": {drill.Berth, "", "web-2 is not Ready", func(_ *appsv1.StatefulSet, p []corev1.Pod) {
			p[1].Status.Conditions[0].Status = corev1.ConditionFalse
		}},
		"going":        {drill.Delete, "", "web-1 is being deleted", func(_ *appsv1.StatefulSet, p []corev1.Pod) { p[0].DeletionTimestamp = &metav1.Time{} }},
		"set going":    {drill.Delete, "", "it is being deleted", func(s *appsv1.StatefulSet, _ []corev1.Pod) { s.DeletionTimestamp = &metav1.Time{} }},
		"changed":      {drill.Delete, "", "last change is not taken up", func(s *appsv1.StatefulSet, _ []corev1.Pod) { s.Generation++ }},
		"being rolled": {drill.Delete, "", "web-1 is not at the set's template", func(_ *appsv1.StatefulSet, p []corev1.Pod) { p[0].Labels[appsv1.StatefulSetRevisionLabel] = "web-a" }},
		"held back by a partition": {drill.Delete, "", "", func(s *appsv1.StatefulSet, p []corev1.Pod) {
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](2)}
			p[0].Labels[appsv1.StatefulSetRevisionLabel] = "web-a"
		}},
		"beyond the partition": {drill.Delete, "", "web-2 is not at", func(s *appsv1.StatefulSet, p []corev1.Pod) {
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](2)}
			p[1].Labels[appsv1.StatefulSetRevisionLabel] = "web-a"
		}},
		"an image for some only": {drill.BadImage, "", "partition 2", func(s *appsv1.StatefulSet, _ []corev1.Pod) {
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](2)}
		}},
		"an image by hand only": {drill.Image, "", "OnDelete", func(s *appsv1.StatefulSet, _ []corev1.Pod) {
			s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
		}},
		"killed, when by hand only": {drill.Container, "", "", func(s *appsv1.StatefulSet, p []corev1.Pod) {
			s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
			p[0].Labels[appsv1.StatefulSetRevisionLabel] = "web-a"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			kind, err := drill.Named(test.kind)
			if err != nil {
				t.Fatal(err)
			}
			err = web(test.change).Refuse(kind, test.pod)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	if _, err := drill.Named("flood"); err == nil || !strings.Contains(err.Error(), "bad-image") {
		t.Error(err)
	}
}

func TestOthers(t *testing.T) {
	before := web(nil)
	again := web(func(_ *appsv1.StatefulSet, p []corev1.Pod) {
		p[0].Status.ContainerStatuses[0].ContainerID = "containerd://new"
	})
	gone := web(func(_ *appsv1.StatefulSet, p []corev1.Pod) { p[0].Status.ContainerStatuses[0].ContainerID = "" })
	for _, test := range []struct {
		now            drill.Subject
		pod, container string
		want           bool
	}{
		{before, "web-1", "", false},
		{again, "web-1", "web", true},
		{again, "web-1", "", false}, // the other one runs on
		{again, "web-2", "web", false},
		{again, "web-1", "none", false},
		{gone, "web-1", "web", false},
		{again, "web-7", "", false},
	} {
		if got := test.now.Others(before, test.pod, test.container); got != test.want {
			t.Errorf("%s %q: %t", test.pod, test.container, got)
		}
	}
}

func TestImageAndWhoWaitsForOne(t *testing.T) {
	s := web(func(_ *appsv1.StatefulSet, p []corev1.Pod) {
		p[1].Status.ContainerStatuses[1] = corev1.ContainerStatus{Name: "log", Image: "none", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"},
		}}
	})
	if stuck := s.Stuck("none"); len(stuck) != 1 || stuck[0].Name != "web-2" {
		t.Errorf("%v", stuck)
	}
	if stuck := s.Stuck("log:1"); len(stuck) != 0 {
		t.Errorf("%v", stuck)
	}
	for container, want := range map[string]string{"": "web web:1", "log": "log log:1", "none": " "} {
		name, image, err := s.Image(container)
		if name+" "+image != want || (err != nil) != (want == " ") {
			t.Errorf("%s: %s %s, %v", container, name, image, err)
		}
	}
}

// A record has the longest times, and what is not as before.
func TestReport(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	before := web(nil)
	broken := web(func(_ *appsv1.StatefulSet, p []corev1.Pod) { p[0].Status.Conditions[0].Status = corev1.ConditionFalse })
	after := web(func(_ *appsv1.StatefulSet, p []corev1.Pod) {
		p[0].Status.ContainerStatuses[0].RestartCount = 6
		p[1].UID, p[1].Status.PodIP = "another", "10.0.0.9"
	})
	r := drill.Begin(at(0))
	for _, look := range []struct {
		at int
		s  *drill.Subject
	}{{1, &before}, {2, &broken}, {3, nil}, {6, nil}, {7, &broken}, {8, &after}, {9, &broken}, {10, &after}} {
		r.See(at(look.at), look.s)
	}
	r.Done(at(10))
	got := r.Report(drill.Machine, []string{"all"}, before, after,
		drill.Claims{"data-web-1": "a", "data-web-2": "b", "data-web-3": "c"}, drill.Claims{"data-web-1": "a", "data-web-2": "x"})
	want := `drill                     machine of shop/web
broken                    all
full health               after 10.0 s
longest not whole         7.0 s
longest without API       5.0 s
replaced                  web-2
restarts                  web-1 2, web-2 4
names, addresses, claims  the claim data-web-2 is another one; the claim data-web-3 is gone; web-2 has the address 10.0.0.9, and had 10.0.0.2
`
	if got.Text() != want || got.Good() {
		t.Errorf("%s", got.Text())
	}
	same := r.Report(drill.Machine, nil, before, before, nil, nil)
	if !same.Good() || !strings.HasSuffix(same.Text(), "as before\n") {
		t.Error(same.Text())
	}
	never := drill.Begin(at(0)).Report(drill.Machine, nil, before, broken, nil, nil)
	if never.Good() || !strings.Contains(never.Text(), "not reached: web-1 is not Ready") {
		t.Error(never.Text())
	}
}
