package all_test

import (
	"maps"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/all/alltest"
)

// However many pods come at once, the Endpoints of their Service are written
// once a second.
func TestEndpointsLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	c := alltest.Start(t, alltest.Options{})
	c.Machines(t, 2, nil)
	ctx := t.Context()
	within(t, "the service account", func() bool {
		_, err := c.Client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	services, endpoints := c.Client.CoreV1().Services("default"), c.Client.CoreV1().Endpoints("default")
	begun := time.Now()
	_, err := services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "front", Labels: map[string]string{"tier": "one"}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "front"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	pods := template("front")
	_, err = c.Client.AppsV1().ReplicaSets("default").Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "front"},
		Spec:       appsv1.ReplicaSetSpec{Replicas: ptr.To(int32(60)), Selector: &metav1.LabelSelector{MatchLabels: pods.Labels}, Template: pods},
	}, metav1.CreateOptions{})
	must(t, err)
	var e *corev1.Endpoints
	within(t, "all addresses", func() bool {
		e, err = endpoints.Get(ctx, "front", metav1.GetOptions{})
		return err == nil && len(e.Subsets) == 1 && len(e.Subsets[0].Addresses) == 60
	})
	took := time.Since(begun)
	labels := map[string]string{"tier": "one", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
	if p := e.Subsets[0].Ports; !maps.Equal(e.Labels, labels) || len(p) != 1 || p[0] != (corev1.EndpointPort{Name: "http", Port: 8080, Protocol: corev1.ProtocolTCP}) {
		t.Errorf("labels %v, ports %v", e.Labels, p)
	}
	if _, err := time.Parse(time.RFC3339Nano, e.Annotations[corev1.EndpointsLastChangeTriggerTime]); err != nil {
		t.Errorf("annotations %v", e.Annotations)
	}
	stored, err := c.Store.Client.KV.Get(ctx, c.Store.Prefix+"/services/endpoints/default/front", clientv3.WithKeysOnly())
	must(t, err)
	if len(stored.Kvs) != 1 || stored.Kvs[0].Version > int64(took/time.Second)+2 {
		t.Errorf("written so often within %s: %v", took, stored.Kvs)
	}

	// What somebody else makes of it is put right; with the Service it goes.
	_, err = endpoints.Patch(ctx, "front", types.MergePatchType, []byte(`{"subsets":null}`), metav1.PatchOptions{})
	must(t, err)
	within(t, "the addresses again", func() bool {
		e, err := endpoints.Get(ctx, "front", metav1.GetOptions{})
		return err == nil && len(e.Subsets) == 1
	})
	must(t, services.Delete(ctx, "front", metav1.DeleteOptions{}))
	within(t, "the end of the Endpoints", func() bool {
		_, err := endpoints.Get(ctx, "front", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

// Endpoints that somebody writes for a Service without a selector are mirrored.
func TestEndpointsMirroredLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	services, endpoints := l.Client.CoreV1().Services("default"), l.Client.CoreV1().Endpoints("default")
	_, err := endpoints.Create(ctx, &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "db", Labels: map[string]string{"team": "a"}},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, Ports: []corev1.EndpointPort{{Name: "sql", Port: 5432}},
		}},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "sql", Port: 5432}}},
	}, metav1.CreateOptions{})
	must(t, err)
	mirrors := func() []discoveryv1.EndpointSlice {
		t.Helper()
		list, err := l.Client.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{
			LabelSelector: "kubernetes.io/service-name=db,endpointslice.kubernetes.io/managed-by=endpointslicemirroring-controller.k8s.io,team=a",
		})
		must(t, err)
		return list.Items
	}
	shows := func(ip string) func() bool {
		return func() bool {
			all := mirrors()
			return len(all) == 1 && len(all[0].Endpoints) == 1 && all[0].Endpoints[0].Addresses[0] == ip && *all[0].Ports[0].Port == 5432
		}
	}
	l.until("the mirror", shows("192.0.2.1"))
	patch := func(text string) {
		t.Helper()
		_, err := endpoints.Patch(ctx, "db", types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{})
		must(t, err)
	}
	patch(`{"subsets":[{"addresses":[{"ip":"192.0.2.2"}],"ports":[{"name":"sql","port":5432}]}]}`)
	l.until("the change", shows("192.0.2.2"))
	patch(`{"metadata":{"labels":{"endpointslice.kubernetes.io/skip-mirror":"true"}}}`)
	l.until("no mirror of what is not to be mirrored", func() bool { return len(mirrors()) == 0 })
	patch(`{"metadata":{"labels":{"endpointslice.kubernetes.io/skip-mirror":null}}}`)
	l.until("the mirror again", shows("192.0.2.2"))
	must(t, services.Delete(ctx, "db", metav1.DeleteOptions{}))
	l.until("all to go with the Service", func() bool {
		_, err := endpoints.Get(ctx, "db", metav1.GetOptions{})
		return apierrors.IsNotFound(err) && len(mirrors()) == 0
	})
}
