package toleration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestTolerates(t *testing.T) {
	taint := corev1.Taint{Key: "disk", Value: "5", Effect: corev1.TaintEffectNoExecute}
	for name, c := range map[string]struct {
		toleration corev1.Toleration
		want       bool
	}{
		"everything":             {corev1.Toleration{Operator: corev1.TolerationOpExists}, true},
		"the key":                {corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpExists}, true},
		"the value":              {corev1.Toleration{Key: "disk", Value: "5"}, true},
		"the effect":             {corev1.Toleration{Key: "disk", Value: "5", Effect: corev1.TaintEffectNoExecute}, true},
		"another effect":         {corev1.Toleration{Key: "disk", Value: "5", Effect: corev1.TaintEffectNoSchedule}, false},
		"another key":            {corev1.Toleration{Key: "cpu", Operator: corev1.TolerationOpExists}, false},
		"another value":          {corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpEqual, Value: "6"}, false},
		"less than":              {corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpLt, Value: "6"}, true},
		"not less than":          {corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpLt, Value: "5"}, false},
		"greater than":           {corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpGt, Value: "4"}, true},
		"not greater than":       {corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpGt, Value: "5"}, false},
		"greater than no number": {corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpGt, Value: "few"}, false},
		"an unknown operator":    {corev1.Toleration{Key: "disk", Operator: "Like", Value: "5"}, false},
	} {
		if got := Tolerates(&c.toleration, &taint); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestUntolerated(t *testing.T) {
	taints := []corev1.Taint{
		{Key: "a", Effect: corev1.TaintEffectPreferNoSchedule},
		{Key: "b", Effect: corev1.TaintEffectNoSchedule},
		{Key: "c", Effect: corev1.TaintEffectNoExecute},
	}
	b := []corev1.Toleration{{Key: "b", Operator: corev1.TolerationOpExists}}
	if got := Untolerated(nil, taints, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute); got == nil || got.Key != "b" {
		t.Errorf("the first is %v", got)
	}
	if got := Untolerated(b, taints, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute); got == nil || got.Key != "c" {
		t.Errorf("the next is %v", got)
	}
	if got := Untolerated(b, taints, corev1.TaintEffectNoSchedule); got != nil {
		t.Errorf("of that effect: %v", got)
	}
}
