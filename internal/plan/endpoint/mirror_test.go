package endpoint

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func written(ips ...string) *corev1.Endpoints {
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "db", UID: "e", Labels: map[string]string{"team": "a"},
		Annotations: map[string]string{"note": "x", corev1.LastAppliedConfigAnnotation: "{}", corev1.EndpointsLastChangeTriggerTime: "t"},
	}}
	subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: "sql", Port: 5432, Protocol: corev1.ProtocolTCP}}}
	for _, ip := range ips {
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: ip})
	}
	e.Subsets = []corev1.EndpointSubset{subset}
	return e
}

func TestMirror(t *testing.T) {
	e := written("192.0.2.2", "192.0.2.1", "2001:db8::1")
	e.Subsets[0].Addresses[0].Hostname = "two"
	e.Subsets[0].Addresses[0].NodeName = ptr.To("far")
	e.Subsets[0].NotReadyAddresses = []corev1.EndpointAddress{{IP: "192.0.2.3"}, {IP: "192.0.2.1"}}
	plan, warnings := Mirror(e, nil)
	if len(plan.Create) != 2 || len(plan.Update)+len(plan.Delete) != 0 || warnings != nil {
		t.Fatalf("%+v %v", plan, warnings)
	}
	want := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: plan.Create[0].Name, GenerateName: "db-", Annotations: map[string]string{"note": "x"},
			Labels:          map[string]string{"team": "a", "kubernetes.io/service-name": "db", "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Endpoints", Name: "db", UID: "e", Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("sql"), Port: ptr.To(int32(5432)), Protocol: ptr.To(corev1.ProtocolTCP)}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"192.0.2.2"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}, Hostname: ptr.To("two"), NodeName: ptr.To("far")},
			{Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
			{Addresses: []string{"192.0.2.3"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
		},
	}
	if diff := cmp.Diff(want, plan.Create[0]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	have := apply(nil, plan)
	if again, _ := Mirror(e, have); !again.Empty() {
		t.Errorf("written again: %+v", again)
	}

	// What changes is written into the slice that there is, what is too many goes.
	less := written("192.0.2.9")
	plan, _ = Mirror(less, have)
	if len(plan.Create) != 0 || len(plan.Update) != 1 || plan.Update[0].Endpoints[0].Addresses[0] != "192.0.2.9" ||
		len(plan.Delete) != 1 || plan.Delete[0].AddressType != discoveryv1.AddressTypeIPv6 {
		t.Errorf("%+v", plan)
	}
	less.Subsets[0].Ports[0].Port = 5433
	if plan, _ = Mirror(less, apply(have, plan)); len(plan.Create) != 1 || len(plan.Delete) != 1 {
		t.Errorf("another port: %+v", plan)
	}
}

func TestMirrorSkips(t *testing.T) {
	service := func(selector map[string]string) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{Selector: selector}}
	}
	marked := func(label, annotation string) *corev1.Endpoints {
		e := written()
		e.Labels["endpointslice.kubernetes.io/skip-mirror"] = label
		if annotation != "" {
			e.Annotations[annotation] = "{}"
		}
		return e
	}
	for name, c := range map[string]struct {
		service *corev1.Service
		e       *corev1.Endpoints
		want    bool
	}{
		"theirs":          {service(nil), written(), true},
		"ours":            {service(map[string]string{"a": "b"}), written(), false},
		"no Service":      {nil, written(), false},
		"nothing written": {service(nil), nil, false},
		"told not to":     {service(nil), marked("true", ""), false},
		"told to":         {service(nil), marked("false", ""), true},
		"a lock":          {service(nil), marked("", "control-plane.alpha.kubernetes.io/leader"), false},
	} {
		if got := Mirrored(c.service, c.e); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}

	ips := []string{"no address"}
	for i := range 1005 {
		ips = append(ips, fmt.Sprintf("10.0.%d.%d", i/250, i%250))
	}
	plan, warnings := Mirror(written(ips...), nil)
	want := []Warning{
		{"InvalidIPAddress", "Skipped 1 invalid IP addresses when mirroring to EndpointSlices"},
		{"TooManyAddressesToMirror", "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 6 addresses were skipped"},
	}
	if diff := cmp.Diff(want[1:], warnings); diff != "" || len(plan.Create) != 1 || len(plan.Create[0].Endpoints) != 1000 {
		t.Errorf("%s", diff)
	}
	if _, warnings = Mirror(written("no address", "10.0.0.1"), nil); !cmp.Equal(want[:1], warnings) {
		t.Errorf("%v", warnings)
	}
}
