package apiserver_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
)

func TestBinding(t *testing.T) {
	e := apitest.Start(t)
	pods := e.Client.CoreV1().Pods(namespace)
	pod := must[*corev1.Pod](t)(pods.Create(t.Context(), newPod("p"), metav1.CreateOptions{}))
	if pod.Status.Phase != corev1.PodPending {
		t.Errorf("a new pod is %q", pod.Status.Phase)
	}
	bind := func(node string, uid types.UID) error {
		return pods.Bind(t.Context(), &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: "p", UID: uid},
			Target:     corev1.ObjectReference{Kind: "Node", Name: node},
		}, metav1.CreateOptions{})
	}
	if err := bind("n1", "another"); !apierrors.IsConflict(err) {
		t.Errorf("binding another pod of that name: %v", err)
	}
	if err := bind("n1", pod.UID); err != nil {
		t.Fatal(err)
	}
	pod = must[*corev1.Pod](t)(pods.Get(t.Context(), "p", metav1.GetOptions{}))
	if pod.Spec.NodeName != "n1" || len(pod.Status.Conditions) != 1 || pod.Status.Conditions[0].Type != corev1.PodScheduled {
		t.Errorf("bound to %q with %+v", pod.Spec.NodeName, pod.Status.Conditions)
	}
	err := bind("n2", pod.UID)
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `pod p is already assigned to node "n1"`) {
		t.Errorf("second binding: %v", err)
	}
	found := must[*corev1.PodList](t)(pods.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=n1"}))
	if len(found.Items) != 1 {
		t.Errorf("%d pods on n1", len(found.Items))
	}
}

func TestGracefulDeletion(t *testing.T) {
	e := apitest.Start(t)
	pods := e.Client.CoreV1().Pods(namespace)
	gone := func(name string) bool {
		_, err := pods.Get(t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}
	del := func(name string, o metav1.DeleteOptions) {
		t.Helper()
		if err := pods.Delete(t.Context(), name, o); err != nil {
			t.Fatal(err)
		}
	}
	must[*corev1.Pod](t)(pods.Create(t.Context(), newPod("unscheduled"), metav1.CreateOptions{}))
	if del("unscheduled", metav1.DeleteOptions{}); !gone("unscheduled") {
		t.Error("an unscheduled pod does not go at once")
	}
	bound := newPod("bound")
	bound.Spec.NodeName = "n1"
	must[*corev1.Pod](t)(pods.Create(t.Context(), bound, metav1.CreateOptions{}))
	del("bound", metav1.DeleteOptions{})
	pod := must[*corev1.Pod](t)(pods.Get(t.Context(), "bound", metav1.GetOptions{}))
	if pod.DeletionTimestamp == nil || ptr.Deref(pod.DeletionGracePeriodSeconds, 0) != 30 {
		t.Errorf("marked %v, period %v", pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds)
	}
	del("bound", metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(5))})
	pod = must[*corev1.Pod](t)(pods.Get(t.Context(), "bound", metav1.GetOptions{}))
	if *pod.DeletionGracePeriodSeconds != 5 {
		t.Errorf("shortened to %d", *pod.DeletionGracePeriodSeconds)
	}
	err := pods.Delete(t.Context(), "bound", metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0)), Preconditions: &metav1.Preconditions{UID: ptr.To(types.UID("x"))}})
	if !apierrors.IsConflict(err) {
		t.Errorf("final deletion of another pod: %v", err)
	}
	if del("bound", metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}); !gone("bound") {
		t.Error("it stays after the final deletion")
	}
	bound.Name = "finished"
	pod = must[*corev1.Pod](t)(pods.Create(t.Context(), bound, metav1.CreateOptions{}))
	pod.Status.Phase = corev1.PodSucceeded
	must[*corev1.Pod](t)(pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}))
	if del("finished", metav1.DeleteOptions{}); !gone("finished") {
		t.Error("a finished pod does not go at once")
	}
}

func TestEviction(t *testing.T) {
	e := apitest.Start(t)
	pods := e.Client.CoreV1().Pods(namespace)
	bound := newPod("p")
	bound.Spec.NodeName = "n1"
	must[*corev1.Pod](t)(pods.Create(t.Context(), bound, metav1.CreateOptions{}))
	if err := pods.EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: namespace}}); err != nil {
		t.Fatal(err)
	}
	pod := must[*corev1.Pod](t)(pods.Get(t.Context(), "p", metav1.GetOptions{}))
	if pod.DeletionTimestamp == nil || len(pod.Status.Conditions) != 1 || pod.Status.Conditions[0].Reason != "EvictionByEvictionAPI" {
		t.Errorf("marked %v, conditions %+v", pod.DeletionTimestamp, pod.Status.Conditions)
	}
}

func TestNamespaceLifecycle(t *testing.T) {
	e := apitest.Start(t)
	all := e.Client.CoreV1().Namespaces()
	ns := must[*corev1.Namespace](t)(all.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{}))
	if ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 || ns.Labels[corev1.LabelMetadataName] != "x" {
		t.Errorf("created as %+v", ns)
	}
	if err := all.Delete(t.Context(), "x", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ns = must[*corev1.Namespace](t)(all.Get(t.Context(), "x", metav1.GetOptions{}))
	if ns.Status.Phase != corev1.NamespaceTerminating || ns.DeletionTimestamp == nil {
		t.Errorf("deleted, it is %+v", ns)
	}
	ns.Spec.Finalizers = nil
	if _, err := all.Update(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	ns = must[*corev1.Namespace](t)(all.Get(t.Context(), "x", metav1.GetOptions{}))
	if len(ns.Spec.Finalizers) != 1 {
		t.Error("a plain update takes the finalizer away")
	}
	ns.Spec.Finalizers = nil
	if _, err := all.Finalize(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := all.Get(t.Context(), "x", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("finalized, it is still there: %v", err)
	}
}

func TestKubernetesService(t *testing.T) {
	e := apitest.Start(t)
	svc := must[*corev1.Service](t)(e.Client.CoreV1().Services(namespace).Get(t.Context(), "kubernetes", metav1.GetOptions{}))
	if svc.Spec.ClusterIP != "10.43.0.1" {
		t.Errorf("the kubernetes service has %q", svc.Spec.ClusterIP)
	}
	slice, err := e.Client.DiscoveryV1().EndpointSlices(namespace).Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || len(slice.Endpoints) != 1 || slice.Endpoints[0].Addresses[0] != "192.0.2.1" {
		t.Errorf("its slice is %+v, %v", slice, err)
	}
}

func TestRestartKeepsDataAndUIDs(t *testing.T) {
	e := apitest.Start(t)
	pods := e.Client.CoreV1().Pods(namespace)
	before := must[*corev1.Pod](t)(pods.Create(t.Context(), newPod("p"), metav1.CreateOptions{}))
	service := must[*corev1.Service](t)(e.Client.CoreV1().Services(namespace).Create(t.Context(), newService("s"), metav1.CreateOptions{}))
	e.Restart()
	after := must[*corev1.Pod](t)(e.Client.CoreV1().Pods(namespace).Get(t.Context(), "p", metav1.GetOptions{}))
	if after.UID != before.UID || after.ResourceVersion != before.ResourceVersion {
		t.Errorf("before %s/%s, after %s/%s", before.UID, before.ResourceVersion, after.UID, after.ResourceVersion)
	}
	// The address is still taken.
	thief := newService("thief")
	thief.Spec.ClusterIP = service.Spec.ClusterIP
	_, err := e.Client.CoreV1().Services(namespace).Create(t.Context(), thief, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "provided IP is already allocated") {
		t.Errorf("got %v", err)
	}
}

func TestStopIsPromptWithOpenWatches(t *testing.T) {
	e := apitest.Start(t)
	for range 20 {
		w, err := e.Client.CoreV1().Pods(namespace).Watch(context.WithoutCancel(t.Context()), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
	}
	begun := time.Now()
	e.Stop()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestPortTaken(t *testing.T) {
	e := apitest.Start(t)
	_, err := apiserver.New(apiserver.Config{
		Kinds: api.Kinds(), Datastore: e.Store, BindAddress: "127.0.0.1", Port: e.Server.Addr().(*net.TCPAddr).Port,
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix(apitest.ServiceCIDR)},
	})
	if err == nil || !strings.Contains(err.Error(), "cannot listen on "+e.Server.Addr().String()) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestServiceRangesAreChecked(t *testing.T) {
	for _, cidrs := range [][]string{nil, {"10.0.0.0/16", "10.1.0.0/16"}, {"10.0.0.0/31"}} {
		e := apitest.Start(t)
		c := apiserver.Config{Kinds: api.Kinds(), Datastore: e.Store, BindAddress: "127.0.0.1"}
		for _, s := range cidrs {
			c.ServiceCIDRs = append(c.ServiceCIDRs, netip.MustParsePrefix(s))
		}
		if _, err := apiserver.New(c); err == nil {
			t.Errorf("%v is accepted", cidrs)
		}
	}
}
