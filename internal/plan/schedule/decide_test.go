package schedule

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func node(name, cpu string, more ...func(*corev1.Node)) Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("4Gi"),
			corev1.ResourcePods: resource.MustParse("110"),
		}},
	}
	for _, f := range more {
		f(n)
	}
	return Node{Node: n}
}

func (n Node) with(pods ...*corev1.Pod) Node {
	n.Pods = append(n.Pods, pods...)
	return n
}

func taint(key string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect}) }
}

func pod(name, cpu string, more ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	c := corev1.Container{Name: "c"}
	if cpu != "" {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
	p.Spec.Containers = []corev1.Container{c}
	for _, f := range more {
		f(p)
	}
	return p
}

func hostPort(port int32, ip string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = append(p.Spec.Containers[0].Ports, corev1.ContainerPort{HostPort: port, HostIP: ip})
	}
}

// nodeField is how a DaemonSet's pod says its node.
func nodeField(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{name}}},
			}}},
		}}
	}
}

const (
	useless = " no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
	empty   = " no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
)

func TestDecide(t *testing.T) {
	cases := map[string]struct {
		pod     *corev1.Pod
		nodes   []Node
		node    string
		message string
	}{
		"no nodes": {pod: pod("p", ""), message: "no nodes available to schedule pods"},
		"fits":     {pod: pod("p", "1"), nodes: []Node{node("a", "2")}, node: "a"},
		"exactly full": {
			pod: pod("p", "1"), nodes: []Node{node("a", "2").with(pod("q", "1"))}, node: "a",
		},
		"too little left": {
			pod: pod("p", "1500m"), nodes: []Node{node("a", "2").with(pod("q", "1"))},
			message: "0/1 nodes are available: 1 Insufficient cpu." + empty,
		},
		"never enough": {
			pod: pod("p", "3"), nodes: []Node{node("a", "2")},
			message: "0/1 nodes are available: 1 Insufficient cpu." + useless,
		},
		"unknown resource": {
			pod: pod("p", "1", func(p *corev1.Pod) {
				p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse("1")
			}), nodes: []Node{node("a", "2")},
			message: "0/1 nodes are available: 1 Insufficient example.com/gpu." + useless,
		},
		"init container counts by its maximum": {
			pod: pod("p", "1", func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{{Name: "i", Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")},
				}}}
			}), nodes: []Node{node("a", "2")},
			message: "0/1 nodes are available: 1 Insufficient cpu." + useless,
		},
		"overhead counts": {
			pod: pod("p", "2", func(p *corev1.Pod) {
				p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m")}
			}), nodes: []Node{node("a", "2")},
			message: "0/1 nodes are available: 1 Insufficient cpu." + useless,
		},
		"pod count": {
			pod: pod("p", ""), nodes: []Node{node("a", "2", func(n *corev1.Node) {
				n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("1")
			}).with(pod("q", ""))},
			message: "0/1 nodes are available: 1 Too many pods." + empty,
		},
		"cordoned": {
			pod: pod("p", ""), nodes: []Node{node("a", "2", func(n *corev1.Node) { n.Spec.Unschedulable = true })},
			message: "0/1 nodes are available: 1 node(s) were unschedulable." + useless,
		},
		"taint": {
			pod: pod("p", ""), nodes: []Node{node("a", "2", taint("k", corev1.TaintEffectNoSchedule))},
			message: "0/1 nodes are available: 1 node(s) had untolerated taint(s)." + useless,
		},
		"tolerated taint": {
			pod: pod("p", "", func(p *corev1.Pod) {
				p.Spec.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists}}
			}), nodes: []Node{node("a", "2", taint("k", corev1.TaintEffectNoExecute))}, node: "a",
		},
		"preferred away, but better than nothing": {
			pod: pod("p", ""), nodes: []Node{node("a", "2", taint("k", corev1.TaintEffectPreferNoSchedule))}, node: "a",
		},
		"preferred away": {
			pod: pod("p", ""), nodes: []Node{node("a", "2", taint("k", corev1.TaintEffectPreferNoSchedule)), node("b", "2").with(pod("q", "1"))},
			node: "b",
		},
		"selector": {
			pod:     pod("p", "", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }),
			nodes:   []Node{node("a", "2")},
			message: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." + useless,
		},
		"the node of a field": {
			pod: pod("p", "", nodeField("b")), nodes: []Node{node("a", "2"), node("b", "2").with(pod("q", "1")), node("c", "2")}, node: "b",
		},
		"no node of that field": {
			pod: pod("p", "", nodeField("z")), nodes: []Node{node("a", "2")},
			message: "0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity]." + useless,
		},
		"the node of a field is full": {
			pod: pod("p", "2", nodeField("a")), nodes: []Node{node("a", "2").with(pod("q", "1"))},
			message: "0/1 nodes are available: 1 Insufficient cpu." + empty,
		},
		"host port taken": {
			pod: pod("p", "", hostPort(80, "")), nodes: []Node{node("a", "2").with(pod("q", "", hostPort(80, "10.0.0.1")))},
			message: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports." + empty,
		},
		"host port of another address": {
			pod: pod("p", "", hostPort(80, "10.0.0.2")), nodes: []Node{node("a", "2").with(pod("q", "", hostPort(80, "10.0.0.1")))},
			node: "a",
		},
		"emptiest wins": {
			pod: pod("p", "1"), nodes: []Node{node("a", "4").with(pod("q", "2")), node("b", "4").with(pod("r", "1")), node("c", "4").with(pod("s", "2"))},
			node: "b",
		},
		"equal nodes by name": {pod: pod("p", "1"), nodes: []Node{node("b", "4"), node("a", "4")}, node: "a"},
		"reasons are counted and sorted": {
			pod: pod("p", "3"),
			nodes: []Node{
				node("a", "2"), node("b", "4").with(pod("q", "2")),
				node("c", "4", taint("k", corev1.TaintEffectNoSchedule)), node("d", "4", taint("k", corev1.TaintEffectNoSchedule)),
			},
			message: "0/4 nodes are available: 2 Insufficient cpu, 2 node(s) had untolerated taint(s). no new claims to deallocate, " +
				"preemption: 0/4 nodes are available: 1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling.",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Decide(State{Ask: Ask{Pod: c.pod}, Nodes: c.nodes})
			if got.Node != c.node || got.Message != c.message {
				t.Errorf("node %q, want %q\n%s", got.Node, c.node, cmp.Diff(c.message, got.Message))
			}
		})
	}
}

func claim(name string, more ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "uid"}}
	c.Spec.StorageClassName = ptr.To("local")
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	for _, f := range more {
		f(c)
	}
	return c
}

func class(provisioner string, mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "local"}, Provisioner: provisioner, VolumeBindingMode: &mode}
}

func volumeOn(name, host string) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
	pv.Spec.StorageClassName = "local"
	pv.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	pv.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	pv.Status.Phase = corev1.VolumeAvailable
	pv.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{host}}},
	}}}}
	return pv
}

func TestClaims(t *testing.T) {
	wait, now := storagev1.VolumeBindingWaitForFirstConsumer, storagev1.VolumeBindingImmediate
	bound := claim("c", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.VolumeName = "pv"
		c.Annotations = map[string]string{bindCompleted: "yes"}
	})
	cases := map[string]struct {
		claims  []Claim
		volumes []*corev1.PersistentVolume
		node    string
		volume  string // of the first step; "-" means provision
		message string
	}{
		"unknown": {
			claims:  []Claim{{Name: "c"}},
			message: `0/2 nodes are available: persistentvolumeclaim "c" not found.`,
		},
		"ephemeral not made yet": {
			claims:  []Claim{{Name: "c", Ephemeral: true}},
			message: `0/2 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim "c".`,
		},
		"immediate": {
			claims:  []Claim{{Name: "c", Claim: claim("c"), Class: class("x", now)}},
			message: `0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.`,
		},
		"bound elsewhere": {
			claims: []Claim{{Name: "c", Claim: bound, Volume: volumeOn("pv", "b")}}, node: "b",
		},
		"bound to a lost node": {
			claims:  []Claim{{Name: "c", Claim: bound, Volume: volumeOn("pv", "z")}},
			message: `0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.`,
		},
		"bound to a lost volume": {
			claims:  []Claim{{Name: "c", Claim: bound}},
			message: `0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).`,
		},
		"provision": {
			claims: []Claim{{Name: "c", Claim: claim("c"), Class: class("berth.dev/local", wait)}}, node: "a", volume: "-",
		},
		"existing volume": {
			claims: []Claim{{Name: "c", Claim: claim("c"), Class: class("kubernetes.io/no-provisioner", wait)}}, node: "b", volume: "pv-b",
			volumes: []*corev1.PersistentVolume{volumeOn("pv-b", "b")},
		},
		"nobody provisions": {
			claims:  []Claim{{Name: "c", Claim: claim("c"), Class: class("kubernetes.io/no-provisioner", wait)}},
			message: `0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.`,
		},
		"node already selected": {
			claims: []Claim{{Name: "c", Class: class("berth.dev/local", wait), Claim: claim("c", func(c *corev1.PersistentVolumeClaim) {
				c.Annotations = map[string]string{selectedNodeLabel: "b"}
			})}}, node: "b", volume: "-",
		},
		"two claims, one volume": {
			claims: []Claim{
				{Name: "c", Claim: claim("c"), Class: class("kubernetes.io/no-provisioner", wait)},
				{Name: "d", Claim: claim("d"), Class: class("kubernetes.io/no-provisioner", wait)},
			},
			volumes: []*corev1.PersistentVolume{volumeOn("pv-b", "b")},
			message: `0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Decide(State{
				Ask:   Ask{Pod: pod("p", ""), Claims: c.claims, Volumes: c.volumes},
				Nodes: []Node{node("a", "2"), node("b", "2")},
			})
			if c.message != "" {
				c.message += " no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
			}
			if got.Node != c.node || got.Message != c.message {
				t.Errorf("node %q, want %q\n%s", got.Node, c.node, cmp.Diff(c.message, got.Message))
			}
			volume := ""
			if len(got.Claims) > 0 {
				volume = "-"
				if got.Claims[0].Volume != nil {
					volume = got.Claims[0].Volume.Name
				}
			}
			if volume != c.volume {
				t.Errorf("volume %q, want %q", volume, c.volume)
			}
		})
	}
}
