package nodelife_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/nodelife"
	"berth.dev/berth/internal/controller/podgc"
	"berth.dev/berth/internal/controller/replicaset"
	"berth.dev/berth/internal/plan/toleration"
	"berth.dev/berth/internal/sim"
)

// beat is how often a node that is not silent renews its lease.
const beat = 10 * time.Second

// day is a cluster of several nodes on a bad day, and what is known of it.
type day struct {
	*sim.Sim
	t     *testing.T
	quiet map[string]bool
	// tainted says since when the API has a NoExecute taint on a node, bound
	// since when a pod is on its node.
	tainted map[string]map[corev1.Taint]time.Time
	bound   map[types.UID]time.Time
	evicted int
	wrote   time.Time // the last write that is no heartbeat
	wrong   error
}

// speak is the loop of what the nodes themselves write.
func (d *day) speak() loop.Loop {
	return loop.Loop{
		Name: "kubelets",
		Watches: []loop.Watch{
			{Kind: &corev1.Node{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
				return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.Object())}}
			}},
			{Kind: &coordinationv1.Lease{}},
		},
		New: func(env loop.Env) reconcile.Reconciler {
			return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
				again := reconcile.Result{RequeueAfter: beat}
				if d.quiet[req.Name] {
					return again, nil
				}
				node := &corev1.Node{}
				if err := env.Live.Get(ctx, req.NamespacedName, node); err != nil {
					return again, client.IgnoreNotFound(err)
				}
				if !ready(node) {
					node = node.DeepCopy()
					node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.NewTime(env.Clock.Now())}}
					if err := env.Write.Status().Update(ctx, node); err != nil {
						return again, err
					}
				}
				lease, at := &coordinationv1.Lease{}, metav1.NewMicroTime(env.Clock.Now())
				lease.Namespace, lease.Name = corev1.NamespaceNodeLease, req.Name
				if err := env.Live.Get(ctx, client.ObjectKeyFromObject(lease), lease); err != nil {
					lease.Spec.RenewTime = &at
					return again, env.Write.Create(ctx, lease)
				}
				if lease = lease.DeepCopy(); lease.Spec.RenewTime != nil && at.Sub(lease.Spec.RenewTime.Time) < beat {
					return again, nil
				}
				lease.Spec.RenewTime = &at
				return again, env.Write.Update(ctx, lease)
			})
		},
	}
}

func ready(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func (d *day) nodes() []corev1.Node {
	list := &corev1.NodeList{}
	if err := d.API().List(context.Background(), list); err != nil {
		d.wrong = err
	}
	return list.Items
}

// watch notes when taints and pods came to their nodes.
func (d *day) watch(s *sim.Sim) error {
	if d.wrong != nil {
		return d.wrong
	}
	for _, n := range d.nodes() {
		since := map[corev1.Taint]time.Time{}
		for _, taint := range n.Spec.Taints {
			if taint.Effect == corev1.TaintEffectNoExecute {
				id := corev1.Taint{Key: taint.Key, Effect: taint.Effect}
				since[id] = s.Now()
				if known, ok := d.tainted[n.Name][id]; ok {
					since[id] = known
				}
			}
		}
		d.tainted[n.Name] = since
	}
	pods := &corev1.PodList{}
	if err := s.API().List(context.Background(), pods); err != nil {
		return err
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Spec.NodeName != "" && d.bound[p.UID].IsZero() {
			d.bound[p.UID] = s.Now()
		}
	}
	return nil
}

// check looks at each write of a loop before it is made.
func (d *day) check(by, verb string, obj client.Object) error {
	if by != "kubelets" {
		d.wrote = d.Now()
	}
	if by != "taint-eviction" || verb != "delete" {
		return nil
	}
	pod := &corev1.Pod{}
	if d.API().Get(context.Background(), client.ObjectKeyFromObject(obj), pod) != nil || pod.UID != obj.GetUID() || pod.DeletionTimestamp != nil {
		return nil // gone already
	}
	d.evicted++
	for taint, since := range d.tainted[pod.Spec.NodeName] {
		i := slices.IndexFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool { return toleration.Tolerates(&t, &taint) })
		if i < 0 {
			return nil
		}
		limit := pod.Spec.Tolerations[i].TolerationSeconds
		if bound := d.bound[pod.UID]; bound.After(since) {
			since = bound
		}
		if limit != nil && d.Now().Sub(since) >= time.Duration(*limit)*time.Second {
			return nil
		}
	}
	d.wrong = fmt.Errorf("pod %s is driven from %s, which has %v, tolerating %v", pod.Name, pod.Spec.NodeName, d.tainted[pod.Spec.NodeName], pod.Spec.Tolerations)
	return nil
}

// set is a ReplicaSet whose pods stay so long on a node that is lost: for ever
// when seconds are negative, not at all when there is no toleration.
func set(name string, seconds *int64) *appsv1.ReplicaSet {
	labels := map[string]string{"app": name}
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	rs.Spec.Replicas, rs.Spec.Selector = ptr.To[int32](2), &metav1.LabelSelector{MatchLabels: labels}
	rs.Spec.Template.Labels = labels
	rs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "good:1"}}
	if seconds == nil {
		return rs
	}
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
		if *seconds >= 0 {
			t.TolerationSeconds = seconds
		}
		rs.Spec.Template.Spec.Tolerations = append(rs.Spec.Template.Spec.Tolerations, t)
	}
	return rs
}

// Nodes of two zones fall silent and come back, some for good, while writes fail
// and the process dies: nobody is driven out who may stay, in the end nobody
// stays who must go, all are replaced, and nothing but heartbeats is written.
func TestEvictionHistories(t *testing.T) {
	histories := uint64(20)
	if testing.Short() {
		histories = 8
	}
	steps, evicted := 0, 0
	for seed := range histories {
		d := evictionHistory(t, seed)
		steps, evicted = steps+d.Steps(), evicted+d.evicted
	}
	t.Logf("%d histories, %d steps, %d pods driven out", histories, steps, evicted)
	if evicted == 0 {
		t.Error("nobody was ever driven out")
	}
}

func evictionHistory(t *testing.T, seed uint64) *day {
	t.Helper()
	const size = 5
	r := rand.New(rand.NewPCG(seed, 51))
	d := &day{t: t, quiet: map[string]bool{}, tainted: map[string]map[corev1.Taint]time.Time{}, bound: map[types.UID]time.Time{}}
	faults := sim.AllFaults
	faults.Silent, faults.DeletePod, faults.Container = 0, 0, 0
	d.Sim = sim.New(sim.Config{
		Seed: seed, Nodes: size, Faults: faults, Refuse: d.check, Check: []func(*sim.Sim) error{d.watch},
		Loops: []loop.Loop{nodelife.Loop(), nodelife.EvictionLoop(), podgc.Loop(0), replicaset.Loop(), d.speak()},
	})
	for i := range size {
		d.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("node-", i), Labels: map[string]string{corev1.LabelTopologyZone: []string{"a", "b"}[i%2]}}})
	}
	d.Create(set("at-once", nil), set("soon", ptr.To[int64](20)), set("late", ptr.To[int64](300)), set("never", ptr.To[int64](-1)))
	silence := func(name string, silent bool) {
		d.quiet[name] = silent
		d.Silence(name, silent)
	}
	for range 4 + r.IntN(8) {
		must(t, d.RunFor(time.Duration(r.IntN(120))*time.Second))
		name := fmt.Sprint("node-", r.IntN(size))
		silence(name, !d.quiet[name])
	}
	// One node stays silent, the others are well.
	d.Calm()
	for i := range size {
		silence(fmt.Sprint("node-", i), i == 0)
	}
	must(t, d.RunFor(15*time.Minute))
	d.atRest(seed)
	return d
}

func (d *day) atRest(seed uint64) {
	d.t.Helper()
	tail := func() string { return strings.Join(d.Trace()[max(0, len(d.Trace())-60):], "\n") }
	for _, n := range d.nodes() {
		if lost := n.Name == "node-0"; ready(&n) == lost || len(n.Spec.Taints) > 0 != lost || lost && len(d.tainted[n.Name]) != 1 {
			d.t.Fatalf("seed %d: node %s has %v and %v\n%s", seed, n.Name, n.Status.Conditions, n.Spec.Taints, tail())
		}
	}
	pods := &corev1.PodList{}
	must(d.t, d.API().List(d.t.Context(), pods))
	active := map[string]int{}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp == nil {
			active[p.Labels["app"]]++
		}
		if p.DeletionTimestamp == nil && p.Spec.NodeName == "node-0" && p.Labels["app"] != "never" {
			d.t.Fatalf("seed %d: pod %s stays on the node that is lost\n%s", seed, p.Name, tail())
		}
	}
	for _, app := range []string{"at-once", "soon", "late", "never"} {
		if active[app] != 2 {
			d.t.Fatalf("seed %d: %d pods of %s\n%s", seed, active[app], app, tail())
		}
	}
	if idle := d.Now().Sub(d.wrote); idle < 2*time.Minute {
		d.t.Fatalf("seed %d: something was written %s ago\n%s", seed, idle, tail())
	}
}
