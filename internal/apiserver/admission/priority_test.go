package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"
)

func TestPriority(t *testing.T) {
	class := func(name string, value int32, global bool) *schedulingv1.PriorityClass {
		return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, GlobalDefault: global, PreemptionPolicy: ptr.To(corev1.PreemptNever)}
	}
	plain := newSetup(t, account("default"), class("high", 1000, false))
	global := newSetup(t, account("default"), class("b", 7, true), class("a", 9, true))
	for name, c := range map[string]struct {
		in       *setup
		class    string
		has      *int32
		policy   *corev1.PreemptionPolicy
		want     int32
		named    string
		preempts corev1.PreemptionPolicy
		refusal  string
	}{
		"none":          {in: plain, preempts: "PreemptLowerPriority"},
		"class":         {in: plain, class: "high", want: 1000, named: "high", preempts: "Never"},
		"system":        {in: plain, class: "system-node-critical", want: 2000001000, named: "system-node-critical", preempts: "PreemptLowerPriority"},
		"unknown":       {in: plain, class: "low", refusal: "no PriorityClass with name low was found"},
		"lowest global": {in: global, want: 7, named: "b", preempts: "Never"},
		"same value":    {in: plain, class: "high", has: ptr.To[int32](1000), want: 1000, named: "high", preempts: "Never"},
		"other value":   {in: plain, has: ptr.To[int32](5), refusal: "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name"},
		"other policy":  {in: plain, policy: ptr.To(corev1.PreemptNever), refusal: "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name"},
	} {
		t.Run(name, func(t *testing.T) {
			p := pod(func(p *corev1.Pod) {
				p.Spec.PriorityClassName, p.Spec.Priority, p.Spec.PreemptionPolicy = c.class, c.has, c.policy
			})
			err := c.in.do(t, request{op: admission.Create, resource: "pods", obj: p})
			expect(t, err, c.refusal)
			if err == nil && (*p.Spec.Priority != c.want || p.Spec.PriorityClassName != c.named || *p.Spec.PreemptionPolicy != c.preempts) {
				t.Errorf("got %d %q %s", *p.Spec.Priority, p.Spec.PriorityClassName, *p.Spec.PreemptionPolicy)
			}
		})
	}
}

func TestOneClassForAll(t *testing.T) {
	class := func(name string, global bool) *schedulingv1.PriorityClass {
		return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: 5, GlobalDefault: global}
	}
	without, with := newSetup(t, class("a", false)), newSetup(t, class("a", false), class("b", true))
	const refusal = "PriorityClass b is already marked as default. Only one default can exist"
	for name, c := range map[string]struct {
		in      *setup
		op      admission.Operation
		obj     *schedulingv1.PriorityClass
		refusal string
	}{
		"first":          {without, admission.Create, class("c", true), ""},
		"second":         {with, admission.Create, class("c", true), refusal},
		"second by edit": {with, admission.Update, class("a", true), refusal},
		"same":           {with, admission.Update, class("b", true), ""},
		"other":          {with, admission.Create, class("c", false), ""},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, c.in.do(t, request{op: c.op, resource: "scheduling.k8s.io/priorityclasses/", obj: c.obj}), c.refusal)
		})
	}
}
