package endpoint

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

func service(more ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nginx", UID: "svc", Labels: map[string]string{"app": "nginx"}}}
	s.Spec.ClusterIP = corev1.ClusterIPNone
	s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	s.Spec.Selector = map[string]string{"app": "nginx"}
	s.Spec.Ports = []corev1.ServicePort{{Name: "web", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}}
	for _, f := range more {
		f(s)
	}
	return s
}

func pod(i int, ready bool, more ...func(*corev1.Pod)) *corev1.Pod {
	name := fmt.Sprint("web-", i)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}}
	p.Spec.NodeName, p.Spec.Hostname, p.Spec.Subdomain = "node1", name, "nginx"
	p.Spec.Containers = []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}
	p.Status.PodIPs = []corev1.PodIP{{IP: fmt.Sprintf("10.42.%d.%d", i/250, i%250+1)}, {IP: fmt.Sprintf("fd00::%x", i+1)}}
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	for _, f := range more {
		f(p)
	}
	return p
}

func terminating(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }

// apply writes the plan as the API server would.
func apply(have []*discoveryv1.EndpointSlice, plan Plan) []*discoveryv1.EndpointSlice {
	have = slices.DeleteFunc(slices.Clone(have), func(s *discoveryv1.EndpointSlice) bool {
		return slices.ContainsFunc(plan.Delete, func(d *discoveryv1.EndpointSlice) bool { return d.Name == s.Name })
	})
	for _, u := range plan.Update {
		i := slices.IndexFunc(have, func(s *discoveryv1.EndpointSlice) bool { return s.Name == u.Name })
		have[i] = u
	}
	return append(have, plan.Create...)
}

func TestEndpoint(t *testing.T) {
	cases := map[string]struct {
		service                     *corev1.Service
		pod                         *corev1.Pod
		ready, serving, terminating bool
		hostname                    string
	}{
		"ready":             {service(), pod(0, true), true, true, false, "web-0"},
		"not ready":         {service(), pod(0, false), false, false, false, "web-0"},
		"ready but leaving": {service(), pod(0, true, terminating), false, true, true, "web-0"},
		"published all the same": {
			service(func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }),
			pod(0, false, terminating), true, false, true, "web-0",
		},
		"another subdomain": {service(), pod(0, true, func(p *corev1.Pod) { p.Spec.Subdomain = "other" }), true, true, false, ""},
		"no hostname":       {service(), pod(0, true, func(p *corev1.Pod) { p.Spec.Hostname = "" }), true, true, false, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			plan := Decide(State{Service: c.service, Pods: []*corev1.Pod{c.pod}, Zones: map[string]string{"node1": "z1"}})
			if len(plan.Create) != 1 || len(plan.Create[0].Endpoints) != 1 {
				t.Fatalf("got %+v", plan)
			}
			e := plan.Create[0].Endpoints[0]
			if *e.Conditions.Ready != c.ready || *e.Conditions.Serving != c.serving || *e.Conditions.Terminating != c.terminating {
				t.Errorf("conditions %v %v %v", *e.Conditions.Ready, *e.Conditions.Serving, *e.Conditions.Terminating)
			}
			if ptr.Deref(e.Hostname, "") != c.hostname || *e.NodeName != "node1" || *e.Zone != "z1" || e.Addresses[0] != "10.42.0.1" {
				t.Errorf("got %+v", e)
			}
			if *plan.Create[0].Ports[0].Port != 8080 {
				t.Errorf("port %d", *plan.Create[0].Ports[0].Port)
			}
		})
	}
}

func TestLeftOut(t *testing.T) {
	for name, p := range map[string]*corev1.Pod{
		"no address": pod(0, true, func(p *corev1.Pod) { p.Status.PodIPs = nil }),
		"finished":   pod(0, true, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
	} {
		plan := Decide(State{Service: service(), Pods: []*corev1.Pod{p}})
		if len(plan.Create) != 1 || len(plan.Create[0].Endpoints) != 0 {
			t.Errorf("%s: got %+v", name, plan)
		}
	}
}

func TestFirstPodReusesTheEmptySlice(t *testing.T) {
	empty := Decide(State{Service: service()}).Create
	plan := Decide(State{Service: service(), Pods: []*corev1.Pod{pod(0, true)}, Slices: empty})
	if len(plan.Create)+len(plan.Delete) != 0 || len(plan.Update) != 1 {
		t.Errorf("want one update, got %d creates, %d updates, %d deletes", len(plan.Create), len(plan.Update), len(plan.Delete))
	}
}

func TestTwoFamilies(t *testing.T) {
	s := service(func(s *corev1.Service) {
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	})
	plan := Decide(State{Service: s, Pods: []*corev1.Pod{pod(0, true)}})
	if len(plan.Create) != 2 || plan.Create[0].Endpoints[0].Addresses[0] != "10.42.0.1" || plan.Create[1].Endpoints[0].Addresses[0] != "fd00::1" {
		t.Fatalf("got %+v", plan.Create)
	}
}

func TestUnknownPortName(t *testing.T) {
	odd := pod(1, true, func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil })
	plan := Decide(State{Service: service(), Pods: []*corev1.Pod{pod(0, true), odd}})
	if len(plan.Create) != 2 {
		t.Fatalf("pods with other ports need a slice of their own: %+v", plan.Create)
	}
}

// TestSlicesFollowPods changes pods at random: after each plan the slices hold
// exactly the pods, no slice is too full, a second decision changes nothing,
// and endpoints of untouched pods are not written again.
func TestSlicesFollowPods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pods := map[int]*corev1.Pod{}
		var have []*discoveryv1.EndpointSlice
		for range rapid.IntRange(1, 8).Draw(t, "rounds") {
			for range rapid.IntRange(0, 120).Draw(t, "changes") {
				i := rapid.IntRange(0, 260).Draw(t, "i")
				if rapid.Bool().Draw(t, "gone") {
					delete(pods, i)
				} else {
					pods[i] = pod(i, rapid.Bool().Draw(t, "ready"))
				}
			}
			var list []*corev1.Pod
			for _, p := range pods {
				list = append(list, p)
			}
			slices.SortFunc(list, func(a, b *corev1.Pod) int {
				return int(len(a.Name)-len(b.Name))*1000 + slices.Compare([]byte(a.Name), []byte(b.Name))
			})
			state := State{Service: service(), Pods: list, Slices: have}
			have = apply(have, Decide(state))
			seen := map[types.UID]bool{}
			names := map[string]bool{}
			for _, s := range have {
				if names[s.Name] {
					t.Fatalf("two slices named %s", s.Name)
				}
				names[s.Name] = true
				if len(s.Endpoints) > MaxPerSlice {
					t.Fatalf("%d endpoints in one slice", len(s.Endpoints))
				}
				for _, e := range s.Endpoints {
					if seen[e.TargetRef.UID] {
						t.Fatalf("%s is there twice", e.TargetRef.Name)
					}
					seen[e.TargetRef.UID] = true
				}
			}
			if len(seen) != len(pods) {
				t.Fatalf("%d endpoints for %d pods", len(seen), len(pods))
			}
			state.Slices = have
			if again := Decide(state); !again.Empty() {
				t.Fatalf("does not rest: %+v", again)
			}
		}
	})
}

// A Service that wants its clients near says for whom each endpoint is.
func TestHints(t *testing.T) {
	for how, want := range map[string]string{
		"": "", "PreferClose": " zone z", "PreferSameZone": " zone z", "PreferSameNode": " node node1 zone z",
	} {
		s := State{Service: service(func(s *corev1.Service) {
			if how != "" {
				s.Spec.TrafficDistribution = &how
			}
		}), Zones: map[string]string{"node1": "z"}, Pods: []*corev1.Pod{pod(0, true), pod(1, false)}}
		for _, e := range Decide(s).Create[0].Endpoints {
			got := ""
			if e.Hints != nil {
				for _, n := range e.Hints.ForNodes {
					got += " node " + n.Name
				}
				for _, z := range e.Hints.ForZones {
					got += " zone " + z.Name
				}
			}
			if e.TargetRef.Name == "web-1" && got != "" || e.TargetRef.Name == "web-0" && got != want {
				t.Errorf("%q, pod %s: hints %q, want %q for the ready one", how, e.TargetRef.Name, got, want)
			}
		}
	}
}

// The annotation of old manifests is the field of today.
func TestTolerateUnreadyEndpoints(t *testing.T) {
	s := State{Service: service(func(s *corev1.Service) {
		s.Annotations = map[string]string{"service.alpha.kubernetes.io/tolerate-unready-endpoints": "true"}
	}), Pods: []*corev1.Pod{pod(0, false)}}
	if e := Decide(s).Create[0].Endpoints[0]; !*e.Conditions.Ready || *e.Conditions.Serving {
		t.Errorf("an unready pod's endpoint is ready=%v, serving=%v", *e.Conditions.Ready, *e.Conditions.Serving)
	}
}
