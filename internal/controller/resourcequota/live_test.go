package resourcequota_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/all/alltest"
)

// soon bounds what must happen by itself.
const soon = 15 * time.Second

// roomWithin is a second, and what a busy machine adds to it.
const roomWithin = 5 * time.Second

type cluster struct {
	*alltest.Cluster
	t *testing.T
}

func start(t *testing.T, without ...string) cluster {
	t.Helper()
	return cluster{alltest.Start(t, alltest.Options{Without: without}), t}
}

func (c cluster) namespace(name string) {
	c.t.Helper()
	_, err := c.Client.CoreV1().Namespaces().Create(c.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(c.t, err)
}

// quota makes a quota and waits until it is counted.
func (c cluster) quota(namespace string, spec corev1.ResourceQuotaSpec) {
	c.t.Helper()
	_, err := c.Client.CoreV1().ResourceQuotas(namespace).Create(c.t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: spec}, metav1.CreateOptions{})
	must(c.t, err)
	c.until("counted", func() bool { return len(c.status(namespace).Used) == len(spec.Hard) })
	// Admission sees the same quota a moment later.
	c.until("enforced", func() bool {
		_, err := c.Client.CoreV1().Pods(namespace).Create(c.t.Context(), monster(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return apierrors.IsForbidden(err) || len(spec.Hard) == 0 || !limitsPods(spec.Hard)
	})
}

func limitsPods(hard corev1.ResourceList) bool {
	_, ok := hard[corev1.ResourcePods]
	_, cpu := hard[corev1.ResourceRequestsCPU]
	return ok && cpu
}

func (c cluster) status(namespace string) corev1.ResourceQuotaStatus {
	c.t.Helper()
	q, err := c.Client.CoreV1().ResourceQuotas(namespace).Get(c.t.Context(), "q", metav1.GetOptions{})
	must(c.t, err)
	return q.Status
}

func (c cluster) used(namespace string, name corev1.ResourceName) string {
	c.t.Helper()
	q := c.status(namespace).Used[name]
	return q.String()
}

func (c cluster) until(what string, holds func() bool) {
	c.t.Helper()
	for end := time.Now().Add(soon); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("not within %s: %s", soon, what)
		}
	}
}

func (c cluster) pod(namespace string, p *corev1.Pod) error {
	_, err := c.Client.CoreV1().Pods(namespace).Create(c.t.Context(), p, metav1.CreateOptions{})
	return err
}

func pod(name, cpu string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
		AutomountServiceAccountToken: ptr.To(false),
		Containers: []corev1.Container{{Name: "c", Image: "demo", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)},
		}}},
	}}
}

// monster is a pod that no quota of these tests has room for.
func monster() *corev1.Pod { return pod("monster", "1M") }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func limits(pods, cpu string) corev1.ResourceQuotaSpec {
	return corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
		corev1.ResourcePods: resource.MustParse(pods), corev1.ResourceRequestsCPU: resource.MustParse(cpu),
	}}
}

func TestQuota(t *testing.T) {
	c := start(t)
	c.namespace("a")
	must(t, c.pod("a", pod("before", "100m")))
	c.quota("a", limits("3", "1"))
	if got := c.used("a", corev1.ResourcePods) + " " + c.used("a", corev1.ResourceRequestsCPU); got != "1 100m" {
		t.Errorf("at first used: %s", got)
	}
	must(t, c.pod("a", pod("p-1", "200m")))
	must(t, c.pod("a", pod("p-2", "300m")))
	refused := func(err error, want string) {
		t.Helper()
		if !apierrors.IsForbidden(err) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	refused(c.pod("a", pod("p-3", "200m")), `pods "p-3" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3`)
	without := pod("p-4", "1")
	without.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
	refused(c.pod("a", without), `pods "p-4" is forbidden: failed quota: q: must specify requests.cpu for: c`)

	// Room is made as soon as the pod is gone, as kubectl delete and create
	// expect it: the last charge has settled.
	time.Sleep(1100 * time.Millisecond)
	must(t, c.Client.CoreV1().Pods("a").Delete(t.Context(), "p-2", metav1.DeleteOptions{}))
	gone := time.Now()
	c.until("room for another", func() bool { return c.pod("a", pod("p-3", "200m")) == nil })
	if took := time.Since(gone); took > roomWithin {
		t.Errorf("it took %s until there was room", took)
	}
	refused(c.pod("a", pod("p-5", "100m")), `pods "p-5" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3`)

	// A charge whose object is not stored is given back.
	must(t, c.Client.CoreV1().Pods("a").Delete(t.Context(), "p-1", metav1.DeleteOptions{}))
	c.until("counted", func() bool { return c.used("a", corev1.ResourcePods) == "2" })
	// Admission hears of it by a watch of its own, maybe a moment later.
	c.until("its name is what is wrong", func() bool { return apierrors.IsAlreadyExists(c.pod("a", pod("p-3", "1m"))) })
	c.until("counted again", func() bool {
		return c.used("a", corev1.ResourcePods) == "2" && c.used("a", corev1.ResourceRequestsCPU) == "300m"
	})

	// New limits are taken over, and what is new in them is counted.
	q, err := c.Client.CoreV1().ResourceQuotas("a").Get(t.Context(), "q", metav1.GetOptions{})
	must(t, err)
	q.Spec.Hard = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("2"), "count/configmaps": resource.MustParse("1")}
	_, err = c.Client.CoreV1().ResourceQuotas("a").Update(t.Context(), q, metav1.UpdateOptions{})
	must(t, err)
	c.until("recounted", func() bool {
		s := c.status("a")
		_, cpu := s.Used[corev1.ResourceRequestsCPU]
		maps := s.Used["count/configmaps"]
		return !cpu && maps.String() == "1" && len(s.Hard) == 2
	})
	// Admission hears of the new limits by a watch of its own, maybe a moment later
	// than the status says so: what it still lets in goes again.
	maps := c.Client.CoreV1().ConfigMaps("a")
	var last error
	c.until("refused", func() bool {
		_, last = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}, metav1.CreateOptions{})
		if last == nil {
			must(t, maps.Delete(t.Context(), "m", metav1.DeleteOptions{}))
			return false
		}
		return strings.Contains(last.Error(), "used: count/configmaps=1")
	})
	refused(last, `configmaps "m" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1`)
}

// TestExactUnderConcurrency has many clients fight for room while pods come
// and go: never are there more than the quota allows, and what is free can be had.
func TestExactUnderConcurrency(t *testing.T) {
	const hard, clients, tries = 7, 16, 12
	c := start(t)
	c.namespace("a")
	c.quota("a", limits(fmt.Sprint(hard), "1000"))
	pods := c.Client.CoreV1().Pods("a")

	var most, made atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var watching, working sync.WaitGroup
	watching.Go(func() { // an observer counts what is stored
		for ctx.Err() == nil {
			if list, err := pods.List(ctx, metav1.ListOptions{}); err == nil {
				most.Store(max(most.Load(), int64(len(list.Items))))
			}
		}
	})
	for i := range clients {
		working.Go(func() {
			for j := range tries {
				name := fmt.Sprintf("p-%d-%d", i, j)
				err := c.pod("a", pod(name, "1m"))
				switch {
				case err == nil:
					made.Add(1)
					if j%2 == 0 {
						if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
							t.Errorf("delete %s: %v", name, err)
						}
					}
				case !apierrors.IsForbidden(err):
					t.Errorf("create %s: %v", name, err)
				}
				if j%4 == 3 {
					time.Sleep(300 * time.Millisecond)
				}
			}
		})
	}
	working.Wait()
	stop()
	watching.Wait()
	if most.Load() > hard || made.Load() < hard {
		t.Errorf("%d pods at once, %d allowed; %d were made", most.Load(), hard, made.Load())
	}

	// What is left can be had, one by one, to the last.
	left := func() int {
		list, err := pods.List(t.Context(), metav1.ListOptions{})
		must(t, err)
		return len(list.Items)
	}
	c.until("counted", func() bool { return c.used("a", corev1.ResourcePods) == fmt.Sprint(left()) })
	for i := left(); i < hard; i++ {
		if err := c.pod("a", pod(fmt.Sprint("serial-", i), "1m")); err != nil {
			t.Errorf("%d of %d: %v", i+1, hard, err)
		}
	}
	if err := c.pod("a", pod("last", "1m")); !apierrors.IsForbidden(err) {
		t.Errorf("one too many: %v", err)
	}
}

// TestConcurrentCreatesFillAQuota has no loop that could lower anything: of
// many creates at once exactly as many succeed as there is room.
func TestConcurrentCreatesFillAQuota(t *testing.T) {
	c := start(t)
	for _, hard := range []int{1, 5, 20} {
		namespace := fmt.Sprint("n-", hard)
		c.namespace(namespace)
		c.quota(namespace, limits(fmt.Sprint(hard), "1000"))
		var made atomic.Int64
		var group sync.WaitGroup
		for i := range 40 {
			group.Go(func() {
				err := c.pod(namespace, pod(fmt.Sprint("p-", i), "1m"))
				if err == nil {
					made.Add(1)
				} else if !apierrors.IsForbidden(err) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if made.Load() != int64(hard) {
			t.Errorf("%d pods were made, the quota is %d", made.Load(), hard)
		}
	}
}
