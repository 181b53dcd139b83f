package all_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/controller/all"
	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/controller/host"
	"berth.dev/berth/internal/controller/provisioner"
	"berth.dev/berth/internal/ipam"
	"berth.dev/berth/internal/node/localvolume"
	"berth.dev/berth/internal/pki"
	"berth.dev/berth/internal/plan/volume"
)

// live is the real API server with rights and admission, every loop on the
// real host, and a toy kubelet.
type live struct {
	*apitest.Env
	t       *testing.T
	volumes string
}

func start(t *testing.T) *live {
	t.Helper()
	set, err := pki.Ensure(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeName: "n1", ServiceIPs: []net.IP{net.IPv4(10, 43, 0, 1)}})
	must(t, err)
	env := apitest.Start(t, func(c *apiserver.Config) {
		must(t, secure.Apply(c, secure.Options{PKI: set}))
	})
	l := &live{Env: env, t: t, volumes: t.TempDir()}
	must(t, provisioner.EnsureClass(t.Context(), env.Client))
	l.node("n1")

	loops, err := all.Loops(all.Config{
		RootCA: []byte("ca"), RESTConfig: env.As,
		IPAM: ipam.Config{ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}},
	})
	must(t, err)
	logger := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	ready := make(chan struct{})
	l.run(func(ctx context.Context) error {
		return host.New(host.Config{RESTConfig: env.As, Logger: logger}, loops...).Run(ctx, func() { close(ready) })
	})
	<-ready
	client, err := kubernetes.NewForConfig(env.As("system:serviceaccount:kube-system:persistent-volume-binder",
		"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"))
	must(t, err)
	l.run(func(ctx context.Context) error {
		return localvolume.Run(ctx, localvolume.Config{Client: client, NodeName: "n1", Dir: l.volumes, Log: logger})
	})
	l.run(l.kubelet)
	return l
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (l *live) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			l.t.Error(err)
		}
	})
}

func (l *live) node(name string) {
	l.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{corev1.LabelHostname: name},
		Annotations: map[string]string{volume.VolumesDirAnnotation: l.volumes},
	}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("16Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	node.Status.Capacity = node.Status.Allocatable
	alltest.Node(l.t, l.Client, node)
}

// kubelet runs every pod of the node at once, and ends it at once.
func (l *live) kubelet(ctx context.Context) error {
	return alltest.Kubelet(ctx, l.Client, l.play)
}

func (l *live) play(ctx context.Context, pod *corev1.Pod) (bool, error) {
	if pod.Status.Phase != corev1.PodPending {
		return false, nil
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			claim, err := l.Client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			if err := os.MkdirAll(filepath.Join(l.volumes, claim.Spec.VolumeName, "data"), 0o777); err != nil {
				return false, err
			}
		}
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.PodIP = "10.42.1.1"
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	now := metav1.Now()
	pod.Status.StartTime = &now
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: now})
	return true, nil
}

// until asks again until ok, for at most ten seconds.
func (l *live) until(what string, ok func() bool) time.Duration {
	l.t.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > 10*time.Second {
			l.dump()
			l.t.Fatalf("waited ten seconds for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begun)
}

// dump shows what there is.
func (l *live) dump() {
	ctx := context.Background()
	pods, _ := l.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	for _, p := range pods.Items {
		l.t.Logf("pod %s/%s on %q: %s deleted %v %+v", p.Namespace, p.Name, p.Spec.NodeName, p.Status.Phase, p.DeletionTimestamp, p.Status.Conditions)
	}
	claims, _ := l.Client.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	for _, c := range claims.Items {
		l.t.Logf("claim %s/%s: %s %q %v %v", c.Namespace, c.Name, c.Status.Phase, c.Spec.VolumeName, c.Annotations, c.Finalizers)
	}
	volumes, _ := l.Client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	for _, v := range volumes.Items {
		l.t.Logf("volume %s: %s deleted %v %v", v.Name, v.Status.Phase, v.DeletionTimestamp, v.Finalizers)
	}
	events, _ := l.Client.CoreV1().Events("").List(ctx, metav1.ListOptions{})
	for _, e := range events.Items {
		l.t.Logf("event %s %s/%s: %s %s", e.InvolvedObject.Kind, e.InvolvedObject.Namespace, e.InvolvedObject.Name, e.Reason, e.Message)
	}
}

func (l *live) ready(namespace string, replicas int32) func() bool {
	return func() bool {
		set, err := l.Client.AppsV1().StatefulSets(namespace).Get(l.t.Context(), "web", metav1.GetOptions{})
		return err == nil && set.Status.ReadyReplicas == replicas
	}
}

func (l *live) apply(namespace string, replicas int32) {
	l.t.Helper()
	_, err := l.Client.CoreV1().Services(namespace).Create(l.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "nginx"},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "web"}},
	}, metav1.CreateOptions{})
	must(l.t, err)
	set := web(replicas, "100m")
	set.Namespace = namespace
	set.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "www", MountPath: "/www"}}
	_, err = l.Client.AppsV1().StatefulSets(namespace).Create(l.t.Context(), set, metav1.CreateOptions{})
	must(l.t, err)
}

func TestLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	l.until("the service account", func() bool {
		_, err := l.Client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	l.apply("default", 5)
	took := l.until("five ready pods", l.ready("default", 5))
	t.Logf("five ordered pods with claims in %s", took)

	slices, err := l.Client.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=nginx"})
	must(t, err)
	if len(slices.Items) != 1 {
		t.Fatalf("%d slices", len(slices.Items))
	}
	l.until("endpoints", func() bool {
		s, err := l.Client.DiscoveryV1().EndpointSlices("default").Get(ctx, slices.Items[0].Name, metav1.GetOptions{})
		return err == nil && len(s.Endpoints) == 5 && *s.Endpoints[4].Conditions.Ready
	})

	must(t, l.Client.AppsV1().StatefulSets("default").Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}))
	l.until("the set, its pods and revisions to go", func() bool {
		pods, _ := l.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		revisions, _ := l.Client.AppsV1().ControllerRevisions("default").List(ctx, metav1.ListOptions{})
		_, err := l.Client.AppsV1().StatefulSets("default").Get(ctx, "web", metav1.GetOptions{})
		return len(pods.Items)+len(revisions.Items) == 0 && apierrors.IsNotFound(err)
	})
	entries, err := os.ReadDir(l.volumes)
	must(t, err)
	if len(entries) != 5 {
		t.Fatalf("%d volumes on disk, want 5", len(entries))
	}
	must(t, os.Mkdir(filepath.Join(l.volumes, "not-ours"), 0o777))
	must(t, l.Client.CoreV1().PersistentVolumeClaims("default").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	l.until("volumes and directories to go", func() bool {
		volumes, _ := l.Client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		entries, _ := os.ReadDir(l.volumes)
		return len(volumes.Items) == 0 && len(entries) == 1 && entries[0].Name() == "not-ours"
	})
}

func TestLiveNamespace(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	_, err := l.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	must(t, err)
	l.until("the root certificate", func() bool {
		cm, err := l.Client.CoreV1().ConfigMaps("shop").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err == nil && cm.Data["ca.crt"] == "ca"
	})
	l.until("the service account", func() bool {
		_, err := l.Client.CoreV1().ServiceAccounts("shop").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	l.apply("shop", 2)
	l.until("two ready pods", l.ready("shop", 2))
	keeper := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "keep", Finalizers: []string{"example.com/keep"}}}
	_, err = l.Client.CoreV1().ConfigMaps("shop").Create(ctx, keeper, metav1.CreateOptions{})
	must(t, err)
	must(t, l.Client.CoreV1().Namespaces().Delete(ctx, "shop", metav1.DeleteOptions{}))
	l.until("the namespace to say what keeps it", func() bool {
		ns, err := l.Client.CoreV1().Namespaces().Get(ctx, "shop", metav1.GetOptions{})
		must(t, err)
		for _, c := range ns.Status.Conditions {
			if c.Type == corev1.NamespaceContentRemaining && c.Message == "Some resources are remaining: configmaps. has 1 resource instances" {
				return true
			}
		}
		return false
	})
	_, err = l.Client.CoreV1().ConfigMaps("shop").Patch(ctx, "keep", "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	must(t, err)
	took := l.until("the namespace to go", func() bool {
		_, err := l.Client.CoreV1().Namespaces().Get(ctx, "shop", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	t.Logf("the namespace went %s after the last finalizer", took)
	l.until("its volumes to go", func() bool {
		volumes, _ := l.Client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		return len(volumes.Items) == 0
	})
}
