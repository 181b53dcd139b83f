package bootstrap

import (
	"errors"
	"slices"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

func TestPriorityClasses(t *testing.T) {
	client := fake.NewClientset()
	for _, want := range []int{2, 0} {
		if err := PriorityClasses(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		if got := writes(client); len(got) != want {
			t.Errorf("wrote %v", got)
		}
	}
	class, err := client.SchedulingV1().PriorityClasses().Get(t.Context(), "system-node-critical", metav1.GetOptions{})
	if err != nil || class.Value != 2000001000 {
		t.Errorf("system-node-critical: %v %v", class, err)
	}
}

// What an administrator took over stays, all else follows upstream.
func TestFlowControl(t *testing.T) {
	ctx, client := t.Context(), fake.NewClientset()
	write := func(want ...string) {
		t.Helper()
		if err := FlowControl(ctx, client); err != nil {
			t.Fatal(err)
		}
		got := writes(client)
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("wrote %v, want %v", got, want)
		}
	}
	write("create flowschemas", "create prioritylevelconfigurations")
	write()

	schemas, levels := client.FlowcontrolV1().FlowSchemas(), client.FlowcontrolV1().PriorityLevelConfigurations()
	change := func(name string, f func(*flowcontrolv1.FlowSchema)) {
		t.Helper()
		s, err := schemas.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		f(s)
		if _, err := schemas.Update(ctx, s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	precedence := func(name string) int32 {
		t.Helper()
		s, err := schemas.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Spec.MatchingPrecedence
	}
	change("probes", func(s *flowcontrolv1.FlowSchema) { s.Spec.MatchingPrecedence = 5 })
	change("global-default", func(s *flowcontrolv1.FlowSchema) {
		s.Spec.MatchingPrecedence = 9999
		s.Annotations[flowcontrolv1.AutoUpdateAnnotationKey] = "false"
	})
	change("service-accounts", func(s *flowcontrolv1.FlowSchema) {
		s.Spec.MatchingPrecedence, s.Annotations, s.Generation = 9998, nil, 2
	})
	change("catch-all", func(s *flowcontrolv1.FlowSchema) { s.Annotations = nil })
	for _, s := range []*flowcontrolv1.FlowSchema{
		{ObjectMeta: metav1.ObjectMeta{Name: "mine"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "of-an-older-version", Annotations: map[string]string{flowcontrolv1.AutoUpdateAnnotationKey: "true"}}},
	} {
		if _, err := schemas.Create(ctx, s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	level, err := levels.Get(ctx, "exempt", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	*level.Spec.Exempt.LendablePercent = 10
	if _, err := levels.Update(ctx, level, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	client.ClearActions()
	write("delete flowschemas", "update flowschemas")
	for name, want := range map[string]int32{"probes": 2, "global-default": 9999, "service-accounts": 9998, "catch-all": 10000, "mine": 0} {
		if got := precedence(name); got != want {
			t.Errorf("%s has precedence %d, want %d", name, got, want)
		}
	}
	if _, err := schemas.Get(ctx, "of-an-older-version", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("an old preset stays: %v", err)
	}
	write()
}

func TestPresetsSayWhatFailed(t *testing.T) {
	for _, verb := range []string{"list", "create"} {
		client := fake.NewClientset()
		client.PrependReactor(verb, "*", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewInternalError(errors.New("broken"))
		})
		if PriorityClasses(t.Context(), client) == nil || FlowControl(t.Context(), client) == nil {
			t.Errorf("a failure to %s is hidden", verb)
		}
	}
}
