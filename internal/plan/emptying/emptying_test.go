package emptying

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestConditions(t *testing.T) {
	now := metav1.NewTime(time.Unix(1, 0))
	busy := Found{
		Remaining:  map[string]int{"pods.": 2, "statefulsets.apps": 1},
		Finalizers: map[string]int{"example.com/keep": 1},
		Failures:   []error{errors.New("b"), errors.New("a")},
	}
	got, changed := Conditions(nil, busy, now)
	if !changed || busy.Done() {
		t.Fatal("nothing said about a namespace that is not empty")
	}
	want := map[corev1.NamespaceConditionType]string{
		corev1.NamespaceDeletionDiscoveryFailure: "False ResourcesDiscovered All resources successfully discovered",
		corev1.NamespaceDeletionGVParsingFailure: "False ParsedGroupVersions All legacy kube types successfully parsed",
		corev1.NamespaceDeletionContentFailure:   "True ContentDeletionFailed Failed to delete all resource types, 2 remaining: a, b",
		corev1.NamespaceContentRemaining:         "True SomeResourcesRemain Some resources are remaining: pods. has 2 resource instances, statefulsets.apps has 1 resource instances",
		corev1.NamespaceFinalizersRemaining:      "True SomeFinalizersRemain Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances",
	}
	have := map[corev1.NamespaceConditionType]string{}
	for _, c := range got {
		have[c.Type] = string(c.Status) + " " + c.Reason + " " + c.Message
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
	if _, again := Conditions(got, busy, metav1.NewTime(time.Unix(9, 0))); again {
		t.Error("the same is said twice")
	}
	after, changed := Conditions(got, Found{}, metav1.NewTime(time.Unix(9, 0)))
	if !changed || after[4].Status != corev1.ConditionFalse || after[0].LastTransitionTime != now {
		t.Errorf("got %+v", after)
	}
}
