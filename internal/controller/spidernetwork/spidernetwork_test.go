package spidernetwork_test

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/spidernetwork"
	"berth.dev/berth/internal/sim"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func start(t *testing.T, objects ...client.Object) *sim.Sim {
	t.Helper()
	l := spidernetwork.Loop(spidernetwork.Config{
		ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")},
	})
	s := sim.New(sim.Config{Seed: 1, Loops: []loop.Loop{l}})
	s.Create(objects...)
	settle(t, s)
	return s
}

func settle(t *testing.T, s *sim.Sim) {
	t.Helper()
	if err := s.Settle(10_000); err != nil {
		t.Fatal(err)
	}
}

func get[T client.Object](t *testing.T, s *sim.Sim, namespace, name string, o T) T {
	t.Helper()
	if err := s.API().Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
		t.Fatal(err)
	}
	return o.DeepCopyObject().(T)
}

func macvlan(master string) *spiderpoolv2beta1.SpiderMultusConfig {
	return &spiderpoolv2beta1.SpiderMultusConfig{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "net"},
		Spec: spiderpoolv2beta1.MultusCNIConfigSpec{
			CniType: ptr.To("macvlan"), MacvlanConfig: &spiderpoolv2beta1.SpiderMacvlanCniConfig{Master: []string{master}},
		},
	}
}

func TestDefinitionFollowsItsConfig(t *testing.T) {
	s := start(t, macvlan("ens192"))
	const want = `{"cniVersion":"0.3.1","name":"net","plugins":[{"ipam":{"type":"spiderpool"},"master":"ens192","mode":"bridge","type":"macvlan"},{"type":"coordinator"}]}`
	d := get(t, s, "kube-system", "net", &cniv1.NetworkAttachmentDefinition{})
	if d.Spec.Config != want || metav1.GetControllerOf(d) == nil {
		t.Fatalf("%+v", d)
	}
	d.Spec.Config = "{}"
	if err := s.API().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	if d = get(t, s, "kube-system", "net", d); d.Spec.Config != want {
		t.Errorf("changed by hand it stays %s", d.Spec.Config)
	}
	if err := s.API().Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	get(t, s, "kube-system", "net", &cniv1.NetworkAttachmentDefinition{})
}

func TestDefinitionOfAnotherIsLeftAlone(t *testing.T) {
	s := start(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "x"}})
	owner := get(t, s, "kube-system", "x", &corev1.ConfigMap{})
	s.Create(&cniv1.NetworkAttachmentDefinition{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: "net",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, corev1.SchemeGroupVersion.WithKind("ConfigMap"))},
		},
	}, macvlan("a"))
	settle(t, s)
	if d := get(t, s, "kube-system", "net", &cniv1.NetworkAttachmentDefinition{}); d.Spec.Config != "" {
		t.Errorf("taken over: %s", d.Spec.Config)
	}
}

func TestSubnetCountsItsPoolsAndGoesWithTheLast(t *testing.T) {
	pool := &spiderpoolv2beta1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec:       spiderpoolv2beta1.IPPoolSpec{Subnet: "10.6.0.0/16", IPs: []string{"10.6.0.2-10.6.0.4"}, ExcludeIPs: []string{"10.6.0.3"}},
	}
	subnet := &spiderpoolv2beta1.SpiderSubnet{
		ObjectMeta: metav1.ObjectMeta{Name: "s", Finalizers: []string{spiderpoolv2beta1.Finalizer}},
		Spec:       spiderpoolv2beta1.SubnetSpec{Subnet: "10.6.0.0/16", IPs: []string{"10.6.0.1-10.6.0.10"}},
	}
	s := start(t, subnet, pool)
	is := get(t, s, "", "s", &spiderpoolv2beta1.SpiderSubnet{})
	if *is.Status.TotalIPCount != 10 || *is.Status.AllocatedIPCount != 2 || *is.Status.ControlledIPPools != `{"p":{"ips":["10.6.0.2","10.6.0.4"]}}` {
		t.Errorf("%+v", is.Status)
	}
	if err := s.API().Delete(t.Context(), is); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	get(t, s, "", "s", is)
	if err := s.API().Delete(t.Context(), get(t, s, "", "p", pool)); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	if err := s.API().Get(t.Context(), client.ObjectKey{Name: "s"}, is); !apierrors.IsNotFound(err) {
		t.Errorf("an unused subnet stays: %v", err)
	}
}

func TestCoordinator(t *testing.T) {
	mine := func(name, podCIDRType string) *spiderpoolv2beta1.SpiderCoordinator {
		return &spiderpoolv2beta1.SpiderCoordinator{
			ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{spiderpoolv2beta1.Finalizer}},
			Spec:       spiderpoolv2beta1.CoordinatorSpec{PodCIDRType: ptr.To(podCIDRType)},
		}
	}
	s := start(t, mine("default", "auto"), mine("other", "calico"))
	is := get(t, s, "", "default", &spiderpoolv2beta1.SpiderCoordinator{})
	if is.Status.Phase != "Synced" || is.Status.OverlayPodCIDR[0] != "10.42.0.0/16" || is.Status.ServiceCIDR[0] != "10.43.0.0/16" {
		t.Errorf("%+v", is.Status)
	}
	if other := get(t, s, "", "other", &spiderpoolv2beta1.SpiderCoordinator{}); other.Status.Phase != "NotReady" || other.Status.Reason == "" {
		t.Errorf("%+v", other.Status)
	}
	if err := s.API().Delete(t.Context(), is); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	if err := s.API().Get(t.Context(), client.ObjectKey{Name: "default"}, is); !apierrors.IsNotFound(err) {
		t.Errorf("stays: %v", err)
	}
}
