package statefulset

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"
)

func TestMemoryChanged(t *testing.T) {
	condition := func(kind appsv1.StatefulSetConditionType, message string) appsv1.StatefulSetCondition {
		return appsv1.StatefulSetCondition{Type: kind, Message: message}
	}
	old := appsv1.StatefulSetStatus{
		Replicas: 3, CurrentRevision: "web-1", UpdateRevision: "web-2", CollisionCount: ptr.To(int32(0)),
		Conditions: []appsv1.StatefulSetCondition{
			condition(ConditionProgressing, "1 of 3"), condition(ConditionBackOff, "web-0: replaced twice"), condition(ConditionReadyBefore, "0-2"),
		},
	}
	for name, c := range map[string]struct {
		change func(*appsv1.StatefulSetStatus)
		want   bool
	}{
		"counts":           {func(s *appsv1.StatefulSetStatus) { s.Replicas, s.ReadyReplicas = 4, 2 }, false},
		"words":            {func(s *appsv1.StatefulSetStatus) { s.Conditions[0].Message = "2 of 3" }, false},
		"back-off":         {func(s *appsv1.StatefulSetStatus) { s.Conditions[1].Message = "web-0: replaced three times" }, true},
		"end of back-off":  {func(s *appsv1.StatefulSetStatus) { s.Conditions[1] = condition("Other", "") }, true},
		"ready before":     {func(s *appsv1.StatefulSetStatus) { s.Conditions[2].Message = "0-3" }, true},
		"current revision": {func(s *appsv1.StatefulSetStatus) { s.CurrentRevision = "web-2" }, true},
		"update revision":  {func(s *appsv1.StatefulSetStatus) { s.UpdateRevision = "web-3" }, true},
		"collisions":       {func(s *appsv1.StatefulSetStatus) { s.CollisionCount = ptr.To(int32(1)) }, true},
	} {
		now := *old.DeepCopy()
		c.change(&now)
		if got := MemoryChanged(&old, &now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
