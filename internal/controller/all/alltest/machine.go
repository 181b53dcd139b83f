package alltest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// renewEvery is how often a node shows that it lives, as a real one does.
const renewEvery = 10 * time.Second

// machine is a node that makes each of its pods Ready as soon as the pod has
// its address, and lets go of it as soon as it is deleted. It acts under a
// node's identity and, like the real one, sees its own pods alone.
type machine struct {
	name    string
	client  kubernetes.Interface
	ready   func(*corev1.Pod)
	ends    bool                      // says that a pod has ended before it lets go of it
	address map[types.UID]string      // by pod, as granted
	waiting map[types.UID]*corev1.Pod // for an address
}

// Machines registers n nodes, which run until the test ends. Each may have 250
// pods. ready, which may be nil, is called for each pod once its status is
// written, by several nodes at once.
func (c *Cluster) Machines(t testing.TB, n int, ready func(*corev1.Pod)) {
	t.Helper()
	if ready == nil {
		ready = func(*corev1.Pod) {}
	}
	for i := range n {
		m := &machine{
			name: fmt.Sprintf("machine-%d", i), ready: ready, ends: c.options.Ends,
			address: map[types.UID]string{}, waiting: map[types.UID]*corev1.Pod{},
		}
		config := c.As("system:node:"+m.name, "system:nodes")
		var err error
		if m.client, err = kubernetes.NewForConfig(config); err != nil {
			t.Fatal(err)
		}
		grants, err := grantsClient(config)
		if err != nil {
			t.Fatal(err)
		}
		c.register(t, m.name)
		Run(t, m.live)
		Run(t, func(ctx context.Context) error { return m.run(ctx, grants) })
	}
}

// register makes the node.
func (c *Cluster) register(t testing.TB, name string) {
	t.Helper()
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("250"),
	}
	Node(t, c.Client, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Allocatable: room, Capacity: room,
		},
	})
}

// Node makes a node with its status, which is patched: the node controller
// writes to the new node at the same time.
func Node(t testing.TB, client kubernetes.Interface, node *corev1.Node) {
	t.Helper()
	nodes := client.CoreV1().Nodes()
	_, err := nodes.Create(t.Context(), node, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	status, err := json.Marshal(&corev1.Node{Status: node.Status})
	if err == nil {
		_, err = nodes.Patch(t.Context(), node.Name, types.StrategicMergePatchType, status, metav1.PatchOptions{}, "status")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// live renews the node's lease until ctx ends.
func (m *machine) live(ctx context.Context) error {
	leases := m.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: m.name}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &m.name}}
	lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
	lease, err := leases.Create(ctx, lease, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
		renewed, err := leases.Update(ctx, lease, metav1.UpdateOptions{})
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		lease = renewed
	}
}

// Grants watches the records of all addresses, as options.ResourceVersion says.
func (c *Cluster) Grants(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	client, err := grantsClient(c.Config)
	if err != nil {
		return nil, err
	}
	return client.Get().Resource("spiderendpoints").Param("watch", "true").
		Param("resourceVersion", options.ResourceVersion).Watch(ctx)
}

// grantsClient reads the records of addresses.
func grantsClient(config *rest.Config) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	if err := spiderpoolv2beta1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &spiderpoolv2beta1.SchemeGroupVersion, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	return rest.RESTClientFor(config)
}

func (m *machine) run(ctx context.Context, grants *rest.RESTClient) error {
	pods, err := m.client.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + m.name})
	if err != nil {
		return err
	}
	defer pods.Stop()
	granted, err := grants.Get().Resource("spiderendpoints").Param("watch", "true").
		Param("fieldSelector", "status.current.node="+m.name).Watch(ctx)
	if err != nil {
		return err
	}
	return Follow(ctx, merge(ctx, pods, granted), func(event watch.Event) error {
		switch obj := event.Object.(type) {
		case *corev1.Pod:
			return m.pod(ctx, event.Type, obj)
		case *spiderpoolv2beta1.SpiderEndpoint:
			return m.grant(ctx, event.Type, obj)
		}
		return fmt.Errorf("machine %s was sent a %T: %v", m.name, event.Object, event.Object)
	})
}

func (m *machine) pod(ctx context.Context, event watch.EventType, pod *corev1.Pod) error {
	switch {
	case event == watch.Deleted:
		delete(m.address, pod.UID)
		delete(m.waiting, pod.UID)
	case pod.DeletionTimestamp != nil:
		delete(m.waiting, pod.UID)
		if err := m.end(ctx, pod); err != nil {
			return err
		}
		err := m.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To(int64(0)), Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
		if !apierrors.IsNotFound(err) {
			return err
		}
	case pod.Status.Phase == corev1.PodRunning:
	case m.address[pod.UID] == "":
		m.waiting[pod.UID] = pod
	default:
		return m.start(ctx, pod)
	}
	return nil
}

// end says that no container of a pod runs any more.
func (m *machine) end(ctx context.Context, pod *corev1.Pod) error {
	if !m.ends || pod.Status.Phase != corev1.PodRunning {
		return nil
	}
	_, err := m.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType,
		fmt.Appendf(nil, `{"metadata": {"uid": %q}, "status": {"phase": %q}}`, pod.UID, corev1.PodSucceeded), metav1.PatchOptions{}, "status")
	return err
}

func (m *machine) grant(ctx context.Context, event watch.EventType, e *spiderpoolv2beta1.SpiderEndpoint) error {
	uid := types.UID(e.Status.Current.UID)
	if event == watch.Deleted || len(e.Status.Current.IPs) == 0 {
		return nil
	}
	prefix, err := netip.ParsePrefix(e.Status.Current.IPs[0].IPv4)
	if err != nil {
		return err
	}
	m.address[uid] = prefix.Addr().String()
	if pod := m.waiting[uid]; pod != nil {
		delete(m.waiting, uid)
		return m.start(ctx, pod)
	}
	return nil
}

func (m *machine) start(ctx context.Context, pod *corev1.Pod) error {
	pod = pod.DeepCopy()
	now := metav1.Now()
	pod.Status.Phase, pod.Status.StartTime = corev1.PodRunning, &now
	pod.Status.PodIP = m.address[pod.UID]
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	for _, condition := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	written, err := m.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if err == nil {
		m.ready(written)
	}
	return err
}

// merge sends the events of both until ctx or one of them ends.
func merge(ctx context.Context, a, b watch.Interface) watch.Interface {
	out := make(chan watch.Event)
	w := watch.NewProxyWatcher(out)
	go func() {
		defer close(out)
		defer a.Stop()
		defer b.Stop()
		for {
			var event watch.Event
			var ok bool
			select {
			case <-ctx.Done():
				return
			case event, ok = <-a.ResultChan():
			case event, ok = <-b.ResultChan():
			}
			if !ok {
				return
			}
			select {
			case out <- event:
			case <-ctx.Done():
				return
			}
		}
	}()
	return w
}
