// Package scheduler measures how fast pods get their nodes: the decision alone,
// and through the real API. Run it by hand: go test -bench . -benchtime 1x
// ./bench/scheduler
package scheduler

import (
	"flag"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/plan/schedule"
	"berth.dev/berth/internal/plan/volume"
)

var (
	nodes   = flag.Int("nodes", 1000, "how many nodes")
	pods    = flag.Int("pods", 10000, "how many pods are decided")
	created = flag.Int("created", 10000, "how many pods are made through the API")
)

// shapes are the kinds of pods, each in groups of a hundred.
var shapes = []struct {
	name  string
	shape func(*corev1.Pod)
}{
	{"plain", func(*corev1.Pod) {}},
	{"anti-affinity", func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
			}},
		}}
	}},
	{"spread", func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			TopologyKey: corev1.LabelTopologyZone, MaxSkew: 1, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
		}}
	}},
	{"claims", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-" + p.Name},
		}}}
	}},
}

func newNode(i int) *corev1.Node {
	name := fmt.Sprintf("node-%04d", i)
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("250"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprint("zone-", i%10)},
			Annotations: map[string]string{volume.VolumesDirAnnotation: "/volumes"},
		},
		Status: corev1.NodeStatus{Allocatable: room, Capacity: room},
	}
}

func newPod(i int, shape func(*corev1.Pod)) *corev1.Pod {
	name := fmt.Sprintf("pod-%05d", i)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": fmt.Sprint("app-", i/100)}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "nginx:1", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
			}}},
		},
	}
	shape(p)
	return p
}

// claimsOf are claims that wait for their first consumer.
func claimsOf(p *corev1.Pod) []schedule.Claim {
	var all []schedule.Claim
	for _, name := range schedule.ClaimNames(p) {
		all = append(all, schedule.Claim{
			Name: name,
			Claim: &corev1.PersistentVolumeClaim{
				ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: name},
				Spec: corev1.PersistentVolumeClaimSpec{
					StorageClassName: ptr.To("local"), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
				},
			},
			Class: &storagev1.StorageClass{
				ObjectMeta: metav1.ObjectMeta{Name: "local"}, Provisioner: "example.com/disk", VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
			},
		})
	}
	return all
}

// BenchmarkDecision places all pods one after the other, without an API.
func BenchmarkDecision(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				decide(b, s.shape)
			}
		})
	}
}

func decide(b *testing.B, shape func(*corev1.Pod)) {
	b.Helper()
	before := heap()
	c := schedule.Empty()
	var made []*corev1.Node
	for i := range *nodes {
		made = append(made, newNode(i))
	}
	objects := heap()
	for _, n := range made {
		c.SetNode(n)
	}
	empty := heap()
	all := make([]*corev1.Pod, *pods)
	for i := range all {
		all[i] = newPod(i, shape)
		all[i].UID = types.UID(all[i].Name)
	}
	ready := heap()
	began, used := time.Now(), processor()
	for _, p := range all {
		d := c.Decide(schedule.Ask{Pod: p, Claims: claimsOf(p)})
		if d.Node == "" {
			b.Fatalf("%s: %s", p.Name, d.Message)
		}
		p.Spec.NodeName = d.Node
		c.SetPod(p)
	}
	took, used := time.Since(began), processor()-used
	full := heap()
	n := float64(*pods)
	b.ReportMetric(n/took.Seconds(), "pods/s")
	b.ReportMetric(n/used.Seconds(), "pods/cpu-s")
	b.ReportMetric(float64(empty-objects)/float64(*nodes), "B/node")
	b.ReportMetric(float64(full-ready)/n, "B/pod")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(c)
	b.Logf("%s; a node's object is %d bytes more", load(), (objects-before)/int64(*nodes))
}

func processor() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// heap is what is live after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func load() string { return "load " + figure.Load() }
