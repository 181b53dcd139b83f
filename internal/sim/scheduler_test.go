package sim_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/replicaset"
	"berth.dev/berth/internal/scheduler"
	"berth.dev/berth/internal/sim"
)

// placing is the cluster of TestPlacementHistories, and what its bindings break.
type placing struct {
	*sim.Sim
	bound map[types.UID]string // also what is gone
	gone  map[types.UID]bool
	binds int
	wrong error
}

// constrained are sets whose pods say where they may be: even ones are spread
// over zones, apart ones share no node, zoned ones no zone, fat ones need room.
func constrained(name string, n int32) *appsv1.ReplicaSet {
	rs := replicas(name, n)
	spec, only := &rs.Spec.Template.Spec, rs.Spec.Selector
	cpu := "100m"
	apart := func(key string) {
		spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: key, LabelSelector: only}}}}
	}
	switch name {
	case "even":
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: only}}
	case "apart":
		apart(corev1.LabelHostname)
	case "zoned":
		apart(corev1.LabelTopologyZone)
	case "fat":
		cpu = "900m"
	}
	spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse(cpu)}
	return rs
}

func zoneOf(node string) string {
	return map[byte]string{'0': "a", '1': "b", '2': "c", '3': "a", '4': "b", '5': "c"}[node[5]]
}

func (p *placing) addNode(i int) {
	n := machine(i)
	n.Labels[corev1.LabelHostname], n.Labels[corev1.LabelTopologyZone] = n.Name, zoneOf(n.Name)
	p.Create(n)
	n.Status.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("2"), "pods": resource.MustParse("20")}
	if err := p.API().Status().Update(context.Background(), n); err != nil {
		p.wrong = err
	}
}

// check looks at each binding before it is made.
func (p *placing) check(by, verb string, obj client.Object) error {
	if by != "scheduler" || verb != "bind" {
		return nil
	}
	pod := obj.(*corev1.Pod)
	target, now := pod.Spec.NodeName, &corev1.Pod{}
	if p.API().Get(context.Background(), client.ObjectKeyFromObject(pod), now) != nil || now.UID != pod.UID || now.Spec.NodeName != "" {
		return nil // the API refuses it
	}
	p.binds++
	if err := p.allowed(now, target); err != nil {
		p.wrong = fmt.Errorf("pod %s is bound to %s: %w", now.Name, target, err)
	}
	return nil
}

func counts(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded
}

// allowed compares with what is true, as far as the scheduler can know of it,
// which is what the cache shows and what it has written itself.
func (p *placing) allowed(pod *corev1.Pod, target string) error {
	ctx := context.Background()
	nodes, seen, all := &corev1.NodeList{}, &corev1.PodList{}, &corev1.PodList{}
	if err := p.Cached().List(ctx, nodes); err != nil {
		return err
	}
	if err := p.Cached().List(ctx, seen); err != nil {
		return err
	}
	if err := p.API().List(ctx, all); err != nil {
		return err
	}
	least, most := map[string]int{}, map[string]int{} // pods of its app by zone
	known := map[string]bool{}                        // pods of a node that is gone are in no zone
	for i := range nodes.Items {
		n := &nodes.Items[i]
		known[n.Name] = true
		least[zoneOf(n.Name)] += 0
		if n.Name == target && n.Spec.Unschedulable {
			return errors.New("which is cordoned")
		}
	}
	if !known[target] {
		return errors.New("which is not there")
	}
	shown := map[types.UID]*corev1.Pod{}
	for i := range seen.Items {
		shown[seen.Items[i].UID] = &seen.Items[i]
	}
	app, cpu := pod.Labels["app"], pod.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
	for i := range all.Items {
		other := &all.Items[i]
		s, alive := shown[other.UID], counts(other)
		if other.Spec.NodeName == "" || !alive && (s == nil || !counts(s)) {
			continue
		}
		if alive && other.Spec.NodeName == target {
			cpu += other.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
		}
		if other.Labels["app"] != app || !known[other.Spec.NodeName] {
			continue
		}
		zone := zoneOf(other.Spec.NodeName)
		if alive && (app == "apart" && other.Spec.NodeName == target || app == "zoned" && zone == zoneOf(target)) {
			return fmt.Errorf("near %s on %s", other.Name, other.Spec.NodeName)
		}
		if alive && other.DeletionTimestamp == nil && s != nil && s.DeletionTimestamp == nil && counts(s) {
			least[zone]++
		}
		most[zone]++
	}
	for uid, s := range shown { // gone, but the cache shows it, maybe as it was before it had its node
		if node := p.bound[uid]; p.gone[uid] && known[node] && counts(s) && s.Labels["app"] == app {
			most[zoneOf(node)]++
		}
	}
	if cpu > 2000 {
		return fmt.Errorf("which then has to give %dm of 2000m", cpu)
	}
	if app == "even" {
		fewest := 1 << 30
		for zone := range least {
			fewest = min(fewest, most[zone])
		}
		if least[zoneOf(target)]+1-fewest > 1 {
			return fmt.Errorf("at least %v and at most %v are in the zones", least, most)
		}
	}
	return nil
}

// once asks that no pod ever changes its node.
func (p *placing) once(s *sim.Sim) error {
	if p.wrong != nil {
		return p.wrong
	}
	pods := &corev1.PodList{}
	if err := s.API().List(context.Background(), pods); err != nil {
		return err
	}
	alive := map[types.UID]bool{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		alive[pod.UID] = true
		if was := p.bound[pod.UID]; was != "" && was != pod.Spec.NodeName {
			return fmt.Errorf("pod %s was bound to %s and is on %q", pod.Name, was, pod.Spec.NodeName)
		}
		p.bound[pod.UID] = pod.Spec.NodeName
	}
	for uid := range p.bound {
		if !alive[uid] {
			p.gone[uid] = true
		}
	}
	return nil
}

// Sets grow and shrink, nodes come, go and are cordoned, on bad days: each
// binding keeps what the pod asks for, and in the end all have their node.
func TestPlacementHistories(t *testing.T) {
	steps, binds, n := 0, 0, uint64(*histories/10)
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		p := placementHistory(t, seed)
		steps, binds = steps+p.Steps(), binds+p.binds
	}
	t.Logf("%d histories, %d steps, %d bindings", n, steps, binds)
}

func placementHistory(t *testing.T, seed uint64) *placing {
	t.Helper()
	const size = 6
	r := rand.New(rand.NewPCG(seed, 71))
	p := &placing{bound: map[types.UID]string{}, gone: map[types.UID]bool{}}
	p.Sim = sim.New(sim.Config{
		Seed: seed, Nodes: size, Faults: sim.AllFaults, NoToyScheduler: true, Refuse: p.check, Check: []func(*sim.Sim) error{p.once},
		Loops: []loop.Loop{scheduler.Loop(nil), replicaset.Loop()},
	})
	for i := range size {
		p.addNode(i)
	}
	apps := map[string]int32{"even": 7, "apart": 5, "zoned": 3, "fat": 5}
	for _, app := range []string{"even", "apart", "zoned", "fat"} {
		p.Create(constrained(app, apps[app]))
	}
	scale := func(app string, n int32) {
		rs := &appsv1.ReplicaSet{}
		mustRun(t, p.API().Get(t.Context(), key(app), rs))
		rs = rs.DeepCopy()
		rs.Spec.Replicas = ptr.To(n)
		mustRun(t, p.API().Update(t.Context(), rs))
	}
	for range 4 + r.IntN(8) {
		mustRun(t, p.Run(r.IntN(250)))
		if r.IntN(2) == 0 {
			app := []string{"even", "apart", "zoned", "fat"}[r.IntN(4)]
			scale(app, int32(r.IntN(9)))
			continue
		}
		p.changeNode(t, r, r.IntN(size))
	}
	for i := range size {
		p.mendNode(t, i)
	}
	for app, n := range apps {
		scale(app, n)
	}
	rest(t, p.Sim, seed)
	return p
}

// changeNode cordons a node or not, deletes it, or brings it back.
func (p *placing) changeNode(t *testing.T, r *rand.Rand, i int) {
	t.Helper()
	node := &corev1.Node{}
	switch err := p.API().Get(t.Context(), client.ObjectKey{Name: fmt.Sprint("node-", i)}, node); {
	case apierrors.IsNotFound(err):
		p.addNode(i)
	case r.IntN(3) == 0:
		mustRun(t, p.API().Delete(t.Context(), node.DeepCopy()))
	default:
		node = node.DeepCopy()
		node.Spec.Unschedulable = !node.Spec.Unschedulable
		mustRun(t, p.API().Update(t.Context(), node))
	}
}

func (p *placing) mendNode(t *testing.T, i int) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{}}
	if err := p.API().Get(t.Context(), client.ObjectKey{Name: fmt.Sprint("node-", i)}, node); apierrors.IsNotFound(err) {
		p.addNode(i)
		return
	}
	node = node.DeepCopy()
	node.Spec.Unschedulable = false
	mustRun(t, p.API().Update(t.Context(), node))
}
