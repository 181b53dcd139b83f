package endpoint

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

func legacyAddress(i int) corev1.EndpointAddress {
	name := fmt.Sprint("web-", i)
	return corev1.EndpointAddress{
		IP: fmt.Sprintf("10.42.%d.%d", i/250, i%250+1), Hostname: name, NodeName: ptr.To("node1"),
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: name, UID: pod(i, true).UID},
	}
}

func TestEndpointsObject(t *testing.T) {
	port := corev1.EndpointPort{Name: "web", Port: 8080, Protocol: corev1.ProtocolTCP}
	now := time.Date(2026, 11, 22, 12, 0, 0, 5, time.UTC)
	s := State{Service: service(), Pods: []*corev1.Pod{
		pod(1, true), pod(0, true), pod(2, false), pod(3, true, terminating),
		pod(4, true, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }),
		pod(5, true, func(p *corev1.Pod) { p.Status.PodIPs = nil }),
		pod(6, true, func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil }),
	}}
	want := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "nginx", Annotations: map[string]string{corev1.EndpointsLastChangeTriggerTime: "2026-11-22T12:00:00.000000005Z"},
			Labels: map[string]string{"app": "nginx", "service.kubernetes.io/headless": "", "endpoints.kubernetes.io/managed-by": "endpoint-controller"},
		},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{legacyAddress(0), legacyAddress(1)}, NotReadyAddresses: []corev1.EndpointAddress{legacyAddress(2)},
			Ports: []corev1.EndpointPort{port},
		}},
	}
	got := Endpoints(s, nil, now)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}

	// The same again is no change, whoever noted versions of pods.
	noted := got.DeepCopy()
	noted.Subsets[0].Addresses[0].TargetRef.ResourceVersion = "7"
	if again := Endpoints(s, noted, time.Time{}); again != nil {
		t.Errorf("written again: %v", again)
	}
	noted.Labels["own"] = "x"
	if again := Endpoints(s, noted, time.Time{}); again == nil || again.Labels["own"] != "" || again.Annotations[corev1.EndpointsLastChangeTriggerTime] != "" {
		t.Errorf("a label of somebody: %v", again)
	}

	// Whoever asks for it gets pods that are not ready, and those that go.
	s.Service.Spec.PublishNotReadyAddresses = true
	all := Endpoints(s, nil, now).Subsets
	if len(all) != 1 || len(all[0].Addresses) != 4 || len(all[0].NotReadyAddresses) != 0 {
		t.Errorf("published %v", all)
	}
}

func TestEndpointsPorts(t *testing.T) {
	plain := service(func(s *corev1.Service) { s.Spec.Ports = nil })
	got := Endpoints(State{Service: plain, Pods: []*corev1.Pod{pod(0, true)}}, nil, time.Time{}).Subsets
	if len(got) != 1 || len(got[0].Addresses) != 1 || got[0].Ports != nil {
		t.Errorf("headless without ports: %v", got)
	}
	plain.Spec.ClusterIP = "10.43.0.9"
	if got := Endpoints(State{Service: plain, Pods: []*corev1.Pod{pod(0, true)}}, nil, time.Time{}).Subsets; len(got) != 0 {
		t.Errorf("without ports: %v", got)
	}

	// Ports that the same pods answer on are together, others are apart.
	two := service(func(s *corev1.Service) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "more", Port: 81, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(9090)})
	})
	other := func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = 9000 }
	got = Endpoints(State{Service: two, Pods: []*corev1.Pod{pod(0, true), pod(1, true)}}, nil, time.Time{}).Subsets
	if len(got) != 1 || len(got[0].Ports) != 2 || len(got[0].Addresses) != 2 {
		t.Errorf("two ports of both: %v", got)
	}
	got = Endpoints(State{Service: two, Pods: []*corev1.Pod{pod(0, true), pod(1, true, other)}}, nil, time.Time{}).Subsets
	if len(got) != 3 {
		t.Errorf("a port each and one of both: %v", got)
	}
}

func TestEndpointsCapacity(t *testing.T) {
	for name, c := range map[string]struct {
		ready, unready, wantReady, wantUnready int
		over                                   string
	}{
		"just enough": {600, 400, 600, 400, ""},
		"unready":     {600, 500, 600, 400, "truncated"},
		"ready":       {1100, 10, 1000, 0, "truncated"},
	} {
		s := State{Service: service()}
		for i := range c.ready + c.unready {
			s.Pods = append(s.Pods, pod(i, i < c.ready))
		}
		got := Endpoints(s, nil, time.Time{})
		if len(got.Subsets) != 1 || len(got.Subsets[0].Addresses) != c.wantReady || len(got.Subsets[0].NotReadyAddresses) != c.wantUnready ||
			got.Annotations[corev1.EndpointsOverCapacity] != c.over {
			t.Errorf("%s: %d ready, %d not, %v", name, len(got.Subsets[0].Addresses), len(got.Subsets[0].NotReadyAddresses), got.Annotations)
		}
		if again := Endpoints(s, got, time.Time{}); again != nil {
			t.Errorf("%s: written again", name)
		}
	}
}

func TestTriggers(t *testing.T) {
	at := func(seconds int64) metav1.Time { return metav1.Unix(seconds, 0) }
	state := func(ready ...int64) State {
		s := State{Service: service(func(s *corev1.Service) { s.CreationTimestamp = at(5) })}
		for i, seconds := range ready {
			p := pod(i, true)
			p.Status.Conditions[0].LastTransitionTime = at(seconds)
			s.Pods = append(s.Pods, p)
		}
		return s
	}
	last := TriggersOf(state(10, 20))
	for name, c := range map[string]struct {
		now  State
		last *Triggers
		want int64
	}{
		"a new Service":    {state(10), nil, 5},
		"nothing":          {state(10, 20), &last, 0},
		"one pod":          {state(10, 30), &last, 30},
		"the first of two": {state(40, 30), &last, 30},
		"one more":         {state(10, 20, 25), &last, 25},
		"one that is gone": {state(10), &last, 0},
	} {
		got := TriggersOf(c.now).Since(c.last)
		if got.IsZero() != (c.want == 0) || c.want != 0 && got.Unix() != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// However pods are, each that counts is in the object once for each port that it
// has, and in what order they are listed does not matter.
func TestEndpointsOfAnyPods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := State{Service: service()}
		s.Service.Spec.PublishNotReadyAddresses = rapid.Bool().Draw(t, "publish")
		s.Service.Spec.Ports = append(s.Service.Spec.Ports, corev1.ServicePort{Name: "more", Port: 81, Protocol: corev1.ProtocolTCP})
		want := 0
		for i := range rapid.IntRange(0, 12).Draw(t, "pods") {
			p := pod(i, rapid.Bool().Draw(t, "ready"))
			if rapid.IntRange(0, 3).Draw(t, "going") == 0 {
				terminating(p)
			}
			if rapid.IntRange(0, 3).Draw(t, "named") == 0 {
				p.Spec.Containers[0].Ports = nil
			}
			if p.DeletionTimestamp == nil || s.Service.Spec.PublishNotReadyAddresses {
				want += 1 + len(p.Spec.Containers[0].Ports)
			}
			s.Pods = append(s.Pods, p)
		}
		first := Endpoints(s, nil, time.Time{})
		got := 0
		for _, subset := range first.Subsets {
			got += (len(subset.Addresses) + len(subset.NotReadyAddresses)) * len(subset.Ports)
		}
		if got != want {
			t.Fatalf("%d addresses and ports, want %d: %v", got, want, first.Subsets)
		}
		s.Pods = rapid.Permutation(s.Pods).Draw(t, "order")
		if again := Endpoints(s, first, time.Time{}); again != nil {
			t.Fatalf("another order gives\n%s", cmp.Diff(first.Subsets, again.Subsets))
		}
	})
}
