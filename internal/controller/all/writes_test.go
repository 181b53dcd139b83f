package all_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/all/alltest"
)

// Until it is Ready a pod costs four writes: the pod, its node, its address and
// its status. Each pod gets its event, once.
func TestWritesOfAPod(t *testing.T) {
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
	_, err := c.Client.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "web"}},
	}, metav1.CreateOptions{})
	must(t, err)
	pods := map[string]int32{"ordered": 10, "parallel": 120}
	for name, replicas := range pods {
		_, err := c.Client.AppsV1().StatefulSets("default").Create(ctx, bareSet(name, replicas), metav1.CreateOptions{})
		must(t, err)
	}
	for name, replicas := range pods {
		within(t, name+" to be Ready", func() bool {
			set, err := c.Client.AppsV1().StatefulSets("default").Get(ctx, name, metav1.GetOptions{})
			return err == nil && set.Status.ReadyReplicas == replicas
		})
	}

	want, got := map[string]int64{}, map[string]int64{}
	for name, replicas := range pods {
		for i := range replicas {
			want[fmt.Sprintf("%s-%d", name, i)] = 4
		}
	}
	for _, kind := range []string{"/pods/default/", "/spiderpool.spidernet.io/spiderendpoints/default/"} {
		stored, err := c.Store.Client.KV.Get(ctx, c.Store.Prefix+kind, clientv3.WithPrefix(), clientv3.WithKeysOnly())
		must(t, err)
		for _, kv := range stored.Kvs {
			key := string(kv.Key)
			got[key[strings.LastIndexByte(key, '/')+1:]] += kv.Version
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("writes of each pod and its address: %v", got)
	}

	said := map[string]int{}
	for name, replicas := range pods {
		for i := range replicas {
			said[fmt.Sprintf("SuccessfulCreate: Create Pod %s-%d in StatefulSet %s successful", name, i, name)] = 1
		}
	}
	var heard map[string]int
	within(t, "the events of the sets", func() bool {
		events, err := c.Client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=StatefulSet"})
		must(t, err)
		heard = map[string]int{}
		for i := range events.Items {
			heard[events.Items[i].Reason+": "+events.Items[i].Message] += int(events.Items[i].Count)
		}
		return len(heard) >= len(said)
	})
	if !maps.Equal(heard, said) {
		t.Errorf("events of the sets: %v", heard)
	}
}

func bareSet(name string, replicas int32) *appsv1.StatefulSet {
	labels := map[string]string{"app": "web", "set": name}
	policy := appsv1.OrderedReadyPodManagement
	if name == "parallel" {
		policy = appsv1.ParallelPodManagement
	}
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.StatefulSetSpec{
		Replicas: ptr.To(replicas), ServiceName: "web", PodManagementPolicy: policy,
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
		},
	}}
}

// within asks again until ok, for as long as a busy machine may take.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
