// Package statefulset measures how fast sets come up on real containers. Run
// it by hand: go test -bench . -benchtime 1x ./bench/statefulset
package statefulset

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

const (
	replicas = 10
	runs     = 5
)

func TestMain(m *testing.M) {
	host.Main()
	os.Exit(m.Run())
}

// BenchmarkSet creates the demo set with ten replicas (readiness probe every
// second), ordered and parallel, and deletes one pod of it.
func BenchmarkSet(b *testing.B) {
	c := cluster.New(b, "bench").Start()
	client := c.Client()
	var ordered, parallel, replaced []time.Duration
	for range runs {
		ordered = append(ordered, up(b, client, appsv1.OrderedReadyPodManagement))
		replaced = append(replaced, replace(b, client, "web-4"))
		down(b, client)
		parallel = append(parallel, up(b, client, appsv1.ParallelPodManagement))
		down(b, client)
	}
	b.Logf("ordered %v\nparallel %v\nreplacement %v", ordered, parallel, replaced)
	b.ReportMetric(median(ordered).Seconds()/replicas, "s/ordered-pod")
	b.ReportMetric(median(parallel).Seconds(), "s-10-parallel")
	b.ReportMetric(median(replaced).Seconds(), "s-replacement")
	b.ReportMetric(0, "ns/op")
}

// up creates the set and returns the time until all its pods are Ready.
func up(b *testing.B, client kubernetes.Interface, policy appsv1.PodManagementPolicyType) time.Duration {
	b.Helper()
	set := manifest(b)
	set.Spec.PodManagementPolicy = policy
	set.Spec.Replicas = new(int32)
	*set.Spec.Replicas = replicas
	began := time.Now()
	if _, err := client.AppsV1().StatefulSets("default").Create(b.Context(), set, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	w, err := client.AppsV1().StatefulSets("default").Watch(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	for ev := range w.ResultChan() {
		if s, ok := ev.Object.(*appsv1.StatefulSet); ok && s.Status.ReadyReplicas == replicas {
			return time.Since(began)
		}
	}
	b.Fatal("the set did not come up")
	return 0
}

// replace deletes a pod and returns the time until its successor is Ready.
func replace(b *testing.B, client kubernetes.Interface, name string) time.Duration {
	b.Helper()
	pods := client.CoreV1().Pods("default")
	old, err := pods.Get(b.Context(), name, metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := pods.Delete(b.Context(), name, metav1.DeleteOptions{}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	w, err := pods.Watch(ctx, metav1.ListOptions{ResourceVersion: old.ResourceVersion, FieldSelector: "metadata.name=" + name})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	for ev := range w.ResultChan() {
		p, ok := ev.Object.(*corev1.Pod)
		if ok && p.UID != old.UID && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			return time.Since(began)
		}
	}
	b.Fatal("no replacement")
	return 0
}

// down deletes the set and waits until its pods and claims are gone.
func down(b *testing.B, client kubernetes.Interface) {
	b.Helper()
	ctx := b.Context()
	if err := client.AppsV1().StatefulSets("default").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		b.Fatal(err)
	}
	if err := client.CoreV1().PersistentVolumeClaims("default").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		b.Fatal(err)
	}
	for {
		pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			b.Fatal(err)
		}
		claims, err := client.CoreV1().PersistentVolumeClaims("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if len(pods.Items)+len(claims.Items) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// manifest is the demo's StatefulSet.
func manifest(b *testing.B) *appsv1.StatefulSet {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(cluster.Bin(b), "../examples/demo/web.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	_, set, _ := strings.Cut(string(text), "\n---\n")
	s := &appsv1.StatefulSet{}
	if err := yaml.Unmarshal([]byte(set), s); err != nil {
		b.Fatal(err)
	}
	return s
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}
