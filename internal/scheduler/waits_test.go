package scheduler_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/scheduler"
	"berth.dev/berth/internal/sim"
)

type world struct {
	*sim.Sim
	t *testing.T
}

// newWorld has silent nodes of two processors: what is deleted there stays until
// the test says that it has ended.
func newWorld(t *testing.T, config sim.Config) world {
	t.Helper()
	config.NoToyScheduler, config.Loops = true, []loop.Loop{scheduler.Loop(nil)}
	if config.Nodes == 0 {
		config.Nodes = 2
	}
	w := world{sim.New(config), t}
	for i := range config.Nodes {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("node-", i)}}
		n.Labels = map[string]string{corev1.LabelHostname: n.Name, "at": n.Name}
		w.Create(n)
		n.Status.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("4Gi"), "pods": resource.MustParse("9")}
		w.must(w.API().Status().Update(t.Context(), n))
		w.Silence(n.Name, true)
	}
	return w
}

func (w world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w world) run() {
	w.t.Helper()
	w.must(w.Run(3000))
}

func (w world) pod(name, cpu string, priority int32, more ...func(*corev1.Pod)) {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{Priority: &priority, Containers: []corev1.Container{{Name: "c", Image: "good:1", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"cpu": resource.MustParse(cpu)},
		}}}},
	}
	for _, f := range more {
		f(p)
	}
	w.Create(p)
}

func on(node string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = node } }

func selecting(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
}

func (w world) get(name string) *corev1.Pod {
	w.t.Helper()
	p := &corev1.Pod{}
	w.must(w.API().Get(w.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, p))
	return p
}

func (w world) end(name string) {
	w.t.Helper()
	w.must(w.API().Delete(w.t.Context(), w.get(name).DeepCopy(), client.GracePeriodSeconds(0)))
}

func (w world) isOn(name, node string) {
	w.t.Helper()
	if got := w.get(name); got.Spec.NodeName != node {
		w.t.Errorf("%s is on %q, want %q: %+v\n%s", name, got.Spec.NodeName, node, got.Status, strings.Join(w.Trace(), "\n"))
	}
}

// The room that a pod waited for is free for others once it goes elsewhere.
func TestRoomThatIsNoLongerAwaited(t *testing.T) {
	w := newWorld(t, sim.Config{})
	label := func() {
		n := &corev1.Node{}
		w.must(w.API().Get(t.Context(), client.ObjectKey{Name: "node-1"}, n))
		n = n.DeepCopy()
		n.Labels["disk"] = "ssd"
		w.must(w.API().Update(t.Context(), n))
	}
	n := &corev1.Node{}
	w.must(w.API().Get(t.Context(), client.ObjectKey{Name: "node-0"}, n))
	n = n.DeepCopy()
	n.Labels["disk"] = "ssd"
	w.must(w.API().Update(t.Context(), n))
	w.pod("old-a", "1", 0, on("node-0"))
	w.pod("old-b", "1", 0, on("node-0"))
	w.run()
	w.pod("high", "2", 10, selecting("disk", "ssd"))
	w.run()
	if got := w.get("high").Status.NominatedNodeName; got != "node-0" {
		t.Fatalf("high waits for %q", got)
	}
	w.end("old-a")
	w.pod("low", "1", 0, selecting("at", "node-0"))
	w.run()
	w.isOn("low", "") // the room is kept for the other one
	label()
	w.run()
	w.isOn("high", "node-1")
	w.isOn("low", "node-0")
}

// The same when the pod that waits is deleted, also before it says in its
// status what it waits for.
func TestRoomOfAPodThatIsDeleted(t *testing.T) {
	var w world
	refused := false
	w = newWorld(t, sim.Config{Nodes: 1, Refuse: func(_, verb string, obj client.Object) error {
		if refused && verb == "update status" && obj.GetName() == "high" {
			return errors.New("not now")
		}
		return nil
	}})
	w.pod("old-a", "1", 0, on("node-0"))
	w.pod("old-b", "1", 5, on("node-0"))
	w.run()
	w.pod("high", "1", 10)
	w.run()
	if got := w.get("high").Status.NominatedNodeName; got != "node-0" {
		t.Fatalf("high waits for %q", got)
	}
	w.end("old-a")
	w.run()
	w.isOn("high", "node-0")

	refused = true
	w.end("high")
	w.pod("old-c", "1", 0, on("node-0"))
	w.run()
	w.pod("high", "1", 10)
	w.must(w.Run(30)) // it is decided, and cannot say so
	w.pod("low", "500m", 0)
	w.must(w.Run(30))
	w.end("old-c")
	w.must(w.Run(30))
	w.end("high")
	w.run()
	w.isOn("low", "node-0")
}

// A pod that waited for room before it came is one that others want near.
func TestPodThatWaitedIsWantedNear(t *testing.T) {
	w := newWorld(t, sim.Config{})
	w.pod("old-a", "2", 0, on("node-0"))
	w.pod("old-b", "2", 20, on("node-1"))
	w.run()
	w.pod("wanted", "2", 10)
	w.run()
	w.pod("near", "0", 0, func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "wanted"}},
		}}}}
	})
	w.run()
	w.isOn("near", "")
	w.end("old-a")
	w.run()
	w.isOn("wanted", "node-0")
	w.isOn("near", "node-0")
}

// Room that a pod has while its claim is made is free once the pod is deleted.
func TestRoomOfAPodWhoseClaimIsMade(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 1})
	w.Create(
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "slow"}, Provisioner: "example.com/slow", VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer)},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: ptr.To("slow")}},
	)
	w.run()
	w.pod("first", "2", 0, func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	})
	w.run()
	w.pod("second", "2", 0)
	w.run()
	w.isOn("second", "")
	w.end("first")
	w.run()
	w.isOn("second", "node-0")
}

// A less important pod that waits for the same room is told at once that it is
// taken.
func TestNominationIsTakenBack(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 1})
	w.pod("old", "2", 0, on("node-0"))
	w.run()
	w.pod("middle", "2", 5)
	w.run()
	w.pod("high", "2", 10)
	w.run()
	if middle, high := w.get("middle").Status.NominatedNodeName, w.get("high").Status.NominatedNodeName; middle != "" || high != "node-0" {
		t.Errorf("middle waits for %q, high for %q", middle, high)
	}
	w.end("old")
	w.run()
	w.isOn("high", "node-0")
}

// A pod that is deleted while it is being bound, and held by a finalizer, is not
// bound again and again.
func TestPodDeletedWhileItIsBound(t *testing.T) {
	var w world
	binds := 0
	w = newWorld(t, sim.Config{Nodes: 1, Refuse: func(_, verb string, obj client.Object) error {
		if verb == "bind" && obj.GetName() == "held" {
			if binds++; binds == 1 {
				return w.API().Delete(t.Context(), w.get("held").DeepCopy())
			}
		}
		return nil
	}})
	w.pod("held", "2", 0, func(p *corev1.Pod) { p.Finalizers = []string{"example.com/held"} })
	w.must(w.RunFor(time.Minute))
	w.pod("other", "2", 0)
	w.must(w.RunFor(time.Minute))
	w.isOn("other", "node-0")
	if binds != 1 {
		t.Errorf("it was bound %d times", binds)
	}
}

// A pod whose binding is refused for ever says so, is no hot loop, and keeps
// nobody waiting.
func TestBindingThatIsRefused(t *testing.T) {
	failOnce := map[string]bool{}
	w := newWorld(t, sim.Config{Refuse: func(_, verb string, obj client.Object) error {
		name := obj.GetName()
		if verb != "bind" || strings.HasPrefix(name, "fine") && failOnce[name] {
			return nil
		}
		failOnce[name] = true
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods/binding"}, name, errors.New("admission says no"))
	}})
	begun := w.Now()
	w.pod("bad", "100m", 10)
	w.must(w.RunFor(2 * time.Minute))
	w.must(w.Hot(begun))
	const why = `running Bind plugin "DefaultBinder": pods/binding "bad" is forbidden: admission says no`
	said := false
	for _, c := range w.get("bad").Status.Conditions {
		said = said || c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == "SchedulerError" && c.Message == why
	}
	if !said || !strings.Contains(strings.Join(w.Trace(), "\n"), "event FailedScheduling: "+why) {
		t.Errorf("nobody says so: %+v\n%s", w.get("bad").Status, strings.Join(w.Trace(), "\n"))
	}
	for i := range 5 {
		name := fmt.Sprint("fine-", i)
		w.pod(name, "100m", 0)
		at := w.Now()
		for w.get(name).Spec.NodeName == "" {
			if !w.Step() {
				t.Fatalf("%s waits for ever", name)
			}
		}
		if waited := w.Now().Sub(at); waited > time.Second {
			t.Errorf("%s, whose first binding failed, waited for %s", name, waited)
		}
	}
}

// A victim whose deletion meets a conflict is deleted all the same.
func TestVictimThatIsBusy(t *testing.T) {
	tries := 0
	w := newWorld(t, sim.Config{Nodes: 1, Refuse: func(_, verb string, obj client.Object) error {
		if verb == "delete" && obj.GetName() == "old" {
			if tries++; tries < 3 {
				return apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "old", errors.New("somebody writes it"))
			}
		}
		return nil
	}})
	w.pod("old", "2", 0, on("node-0"))
	w.run()
	w.pod("high", "2", 10)
	w.run()
	if tries != 3 || w.get("old").DeletionTimestamp == nil {
		t.Errorf("after %d tries it stays", tries)
	}
}
