package admit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/internal/plan/admit"
)

func TestPreempt(t *testing.T) {
	of := func(name, cpu, memory string, class corev1.PodQOSClass) *corev1.Pod {
		p := pod(nil)
		p.Name = name
		p.Status.QOSClass = class
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{}
		if cpu != "" {
			p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			p.Spec.Containers[0].Resources.Requests[corev1.ResourceMemory] = resource.MustParse(memory)
		}
		return p
	}
	critical := func(p *corev1.Pod) *corev1.Pod {
		p = p.DeepCopy()
		p.Spec.Priority = new(int32)
		*p.Spec.Priority = 2_000_000_000
		return p
	}
	const none = "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: " +
		"no set of running pods found to reclaim resources: "
	many := func(n *admit.Node) { n.Object.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("10") }
	for name, c := range map[string]struct {
		pod    *corev1.Pod
		others []*corev1.Pod
		want   string
	}{
		"one is enough": {
			critical(of("new", "500m", "", "")),
			[]*corev1.Pod{of("a", "700m", "", corev1.PodQOSBurstable), of("b", "600m", "", corev1.PodQOSBurstable), of("c", "500m", "", corev1.PodQOSBurstable)},
			"c",
		},
		"the smaller of two that are": {
			critical(of("new", "500m", "", "")),
			[]*corev1.Pod{of("a", "1", "300Mi", corev1.PodQOSBurstable), of("b", "1", "200Mi", corev1.PodQOSBurstable)},
			"b",
		},
		"burstable before guaranteed": {
			critical(of("new", "500m", "", "")),
			[]*corev1.Pod{of("a", "500m", "", corev1.PodQOSGuaranteed), of("b", "1500m", "", corev1.PodQOSBurstable)},
			"b",
		},
		"both when one is not enough": {
			critical(of("new", "2", "", "")),
			[]*corev1.Pod{of("a", "500m", "", corev1.PodQOSGuaranteed), of("b", "1500m", "", corev1.PodQOSBurstable)},
			"b a",
		},
		"best effort for a place": {
			critical(of("new", "", "", "")),
			[]*corev1.Pod{
				of("g", "100m", "", corev1.PodQOSGuaranteed), of("b", "", "", corev1.PodQOSBestEffort), of("c", "1m", "", corev1.PodQOSBurstable), of("1", "", "", corev1.PodQOSBurstable), of("2", "", "", corev1.PodQOSBurstable),
				of("3", "", "", corev1.PodQOSBurstable), of("4", "", "", corev1.PodQOSBurstable), of("5", "", "", corev1.PodQOSBurstable), of("6", "", "", corev1.PodQOSBurstable), of("7", "", "", corev1.PodQOSBurstable),
			},
			"b",
		},
		"the critical stay": {
			critical(of("new", "500m", "", "")),
			[]*corev1.Pod{critical(of("a", "2", "", corev1.PodQOSBurstable))},
			"UnexpectedAdmissionError: " + none + "[(res: cpu, q: 500), ]",
		},
		"asks for more than there is": {
			critical(of("new", "3", "", "")),
			[]*corev1.Pod{of("a", "2", "", corev1.PodQOSBurstable)},
			"UnexpectedAdmissionError: " + none + "[(res: cpu, q: 1000), ]",
		},
		"something else is wrong": {
			func() *corev1.Pod {
				p := critical(of("new", "1", "", ""))
				p.Spec.NodeSelector = map[string]string{"no": "where"}
				return p
			}(),
			[]*corev1.Pod{of("a", "2", "", corev1.PodQOSBurstable)},
			"NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
		},
	} {
		if r := admit.Check(node(many), c.pod, c.others); r == nil || !r.Lacking {
			t.Errorf("%s: nothing is lacking: %+v", name, r)
		}
		victims, refused := admit.Preempt(node(many), c.pod, c.others)
		var names []string
		for _, v := range victims {
			names = append(names, v.Name)
		}
		got := strings.Join(names, " ")
		if refused != nil {
			got += refused.Reason + ": " + refused.Message
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
