package admit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/admit"
)

func node(change func(*admit.Node)) admit.Node {
	n := admit.Node{OS: "linux", Object: &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"disk": "ssd"}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi"),
			corev1.ResourcePods: resource.MustParse("3"), corev1.ResourceEphemeralStorage: resource.MustParse("1G"),
			"example.com/device": resource.MustParse("1"),
		}},
	}}
	if change != nil {
		change(&n)
	}
	return n
}

func pod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"},
		Spec:       corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c"}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

func asking(name corev1.ResourceName, amount string) *corev1.Pod {
	return pod(func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{name: resource.MustParse(amount)}
	})
}

func onPort(port int32, ip string) *corev1.Pod {
	return pod(func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: port, HostIP: ip}} })
}

func setting(name string, more func(*corev1.Pod)) *corev1.Pod {
	return pod(func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: name, Value: "1"}}}
		if more != nil {
			more(p)
		}
	})
}

func under(conditions ...corev1.NodeConditionType) func(*admit.Node) {
	return func(n *admit.Node) { n.Pressure = conditions }
}

func tainted(effect corev1.TaintEffect) func(*admit.Node) {
	return func(n *admit.Node) { n.Object.Spec.Taints = []corev1.Taint{{Key: "k", Effect: effect}} }
}

func static(p *corev1.Pod) { p.Annotations = map[string]string{admit.SourceAnnotation: "file"} }

// Reasons and messages are upstream's, word for word.
func TestCheck(t *testing.T) {
	critical := int32(2_000_001_000)
	for name, c := range map[string]struct {
		node   func(*admit.Node)
		pod    *corev1.Pod
		others []*corev1.Pod
		want   string
	}{
		"fits":             {pod: asking("cpu", "2")},
		"too much cpu":     {pod: asking("cpu", "1500m"), others: []*corev1.Pod{asking("cpu", "600m")}, want: "OutOfcpu: Node didn't have enough resource: cpu, requested: 1500, used: 600, capacity: 2000"},
		"too much memory":  {pod: asking("memory", "2Gi"), want: "OutOfmemory: Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824"},
		"too much disk":    {pod: asking("ephemeral-storage", "2G"), want: "OutOfephemeral-storage: Node didn't have enough resource: ephemeral-storage, requested: 2000000000, used: 0, capacity: 1000000000"},
		"too many pods":    {pod: pod(nil), others: []*corev1.Pod{pod(nil), pod(nil), pod(nil)}, want: "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"},
		"a device":         {pod: asking("example.com/device", "2"), want: "OutOfexample.com/device: Node didn't have enough resource: example.com/device, requested: 2, used: 0, capacity: 1"},
		"huge pages":       {pod: asking("hugepages-2Mi", "4Mi"), want: "OutOfhugepages-2Mi: Node didn't have enough resource: hugepages-2Mi, requested: 4194304, used: 0, capacity: 0"},
		"unknown device":   {pod: asking("example.com/licence", "2")},
		"port taken":       {pod: onPort(80, ""), others: []*corev1.Pod{onPort(80, "192.0.2.1")}, want: "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"},
		"port elsewhere":   {pod: onPort(80, "192.0.2.2"), others: []*corev1.Pod{onPort(80, "192.0.2.1")}},
		"selector":         {pod: pod(func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "hdd"} }), want: "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector (look again)"},
		"another node":     {pod: pod(func(p *corev1.Pod) { p.Spec.NodeName = "n2" }), want: "NodeName: Predicate NodeName failed: node(s) didn't match the requested node name"},
		"NoExecute":        {node: tainted(corev1.TaintEffectNoExecute), pod: pod(nil), want: "TaintToleration: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate (look again)"},
		"NoSchedule":       {node: tainted(corev1.TaintEffectNoSchedule), pod: pod(nil)},
		"tolerated":        {node: tainted(corev1.TaintEffectNoExecute), pod: pod(func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} })},
		"static":           {node: tainted(corev1.TaintEffectNoExecute), pod: pod(static)},
		"windows":          {pod: pod(func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }), want: "PodOSNotSupported: Failed to admit pod as the OS field doesn't match node OS"},
		"windows by label": {pod: pod(func(p *corev1.Pod) { p.Labels = map[string]string{corev1.LabelOSStable: "windows"} }), want: "PodOSSelectorNodeLabelDoesNotMatch: Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"},
		"confined": {
			node: func(n *admit.Node) { n.AppArmor = true },
			pod: pod(func(p *corev1.Pod) {
				p.Spec.SecurityContext = &corev1.PodSecurityContext{AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}}
			}),
		},
		"nothing confines": {
			pod: pod(func(p *corev1.Pod) {
				p.Annotations = map[string]string{corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "c": "runtime/default"}
			}),
			want: "AppArmor: Cannot enforce AppArmor: AppArmor is not enabled on the host",
		},
		"safe sysctl":    {pod: setting("net.ipv4.tcp_syncookies", nil)},
		"slashes":        {pod: setting("net/ipv4/tcp_syncookies", nil)},
		"unsafe sysctl":  {pod: setting("kernel.msgmax", nil), want: `SysctlForbidden: forbidden sysctl: "kernel.msgmax" not allowlisted`},
		"allowed sysctl": {node: func(n *admit.Node) { n.UnsafeSysctls = []string{"kernel.msg*"} }, pod: setting("kernel.msgmax", nil)},
		"the host's network": {
			pod:  setting("net.ipv4.tcp_syncookies", func(p *corev1.Pod) { p.Spec.HostNetwork = true }),
			want: `SysctlForbidden: forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host net enabled`,
		},
		"the host's memory": {
			pod:  setting("kernel.shm_rmid_forced", func(p *corev1.Pod) { p.Spec.HostIPC = true }),
			want: `SysctlForbidden: forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host ipc enabled`,
		},
		"memory pressure":                {node: under(corev1.NodeMemoryPressure), pod: pod(nil), want: "Evicted: The node had condition: [MemoryPressure]. "},
		"memory pressure, not besides":   {node: under(corev1.NodeMemoryPressure), pod: asking("cpu", "1m")},
		"disk pressure":                  {node: under(corev1.NodeDiskPressure), pod: asking("cpu", "1m"), want: "Evicted: The node had condition: [DiskPressure]. "},
		"critical under disk pressure":   {node: under(corev1.NodeDiskPressure), pod: pod(func(p *corev1.Pod) { p.Spec.Priority = &critical })},
		"shutting down":                  {node: func(n *admit.Node) { n.Closing = true }, pod: pod(nil), want: "NodeShutdown: Pod was rejected as the node is shutting down."},
		"strict groups, says it cannot":  {node: groups(false), pod: strict(), want: "SupplementalGroupsPolicyNotSupported: SupplementalGroupsPolicy=Strict is not supported in this node"},
		"strict groups, says it can":     {node: groups(true), pod: strict()},
		"strict groups, does not say so": {pod: strict()},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if r := admit.Check(node(c.node), c.pod, c.others); r != nil {
				got = r.Reason + ": " + r.Message
				if r.Stale {
					got += " (look again)"
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func groups(can bool) func(*admit.Node) {
	return func(n *admit.Node) { n.Object.Status.Features = &corev1.NodeFeatures{SupplementalGroupsPolicy: &can} }
}

func strict() *corev1.Pod {
	policy := corev1.SupplementalGroupsPolicyStrict
	return pod(func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{SupplementalGroupsPolicy: &policy}
	})
}
