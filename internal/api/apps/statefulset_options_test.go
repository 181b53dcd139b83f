package apps

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/statefulset/options"
)

func goodSet(edit func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	labels := map[string]string{"app": "web"}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Annotations: map[string]string{}}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template.Labels = map[string]string{"app": "web"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "nginx", Image: "nginx:1"}}
	if edit != nil {
		edit(set)
	}
	defaults.StatefulSet(set)
	return set
}

// What an annotation asks for is refused with its path, at create and when it
// changes, but not when it was there before.
func TestOptionsAreChecked(t *testing.T) {
	annotate := func(name, value string) func(*appsv1.StatefulSet) {
		return func(set *appsv1.StatefulSet) { set.Annotations[name] = value }
	}
	for name, c := range map[string]struct {
		edit func(*appsv1.StatefulSet)
		want string // "" when it is accepted
	}{
		"nothing":          {nil, ""},
		"ordered teardown": {annotate(options.OrderedTeardown, "true"), ""},
		"teardown, maybe":  {annotate(options.OrderedTeardown, "maybe"), `metadata.annotations[berth.dev/ordered-teardown]: Invalid value: "maybe": must be "true" or "false"`},
		"respect pdb, 1":   {annotate(options.RespectPDB, "1"), `metadata.annotations[berth.dev/respect-pdb]: Invalid value: "1": must be "true" or "false"`},
		"recovery":         {annotate(options.Recovery, "Parallel"), ""},
		"recovery, both":   {annotate(options.Recovery, "Both"), `metadata.annotations[berth.dev/recovery]: Invalid value: "Both": must be "Parallel" or "Ordered"`},
		"order":            {annotate(options.UpdateOrder, "role=replica,primary"), ""},
		"order, sideways":  {annotate(options.UpdateOrder, "sideways"), `metadata.annotations[berth.dev/update-order]: Invalid value: "sideways": must be "descending", "ascending" or a pod label`},
		"retention":        {annotate(address.RetentionAnnotation, "{whenScaled: Retain, whenDeleted: Retain, retainFor: 10m}"), ""},
		"retained, how":    {annotate(address.RetentionAnnotation, "{whenScaled: Keep}"), `metadata.annotations[berth.dev/address-retention]: Invalid value: "{whenScaled: Keep}": whenScaled is "Keep", not Retain or Delete`},
		"retained, when":   {annotate(address.RetentionAnnotation, "{whenScaled"), `metadata.annotations[berth.dev/address-retention]: Invalid value: "{whenScaled": `},
		"retained so long": {annotate(address.RetentionAnnotation, "{retainFor: 10 minutes}"), `: retainFor "10 minutes" is not a time above 0, such as 10m`},
		"addresses":        {annotate(address.AddressesAnnotation, "web-0=10.6.168.101,web-1=10.6.168.105"), ""},
		"addresses, none":  {annotate(address.AddressesAnnotation, " "), `metadata.annotations[berth.dev/addresses]: Invalid value: " ": it names no address`},
		"one twice":        {annotate(address.AddressesAnnotation, "web-0=10.6.0.1,web-1=10.6.0.1"), `: 10.6.0.1 is given to web-0 and to web-1`},
		"in the template": {func(set *appsv1.StatefulSet) {
			set.Spec.Template.Annotations = map[string]string{address.AddressesAnnotation: "web-0:10.6.0.1"}
		}, `spec.template.metadata.annotations[berth.dev/addresses]: Invalid value: "web-0:10.6.0.1": "web-0:10.6.0.1" is not an address or a range of addresses`},
		"replace them all": {func(set *appsv1.StatefulSet) { set.Spec.Template.Labels[options.ReplaceLabel] = "true" }, `spec.template.metadata.labels[berth.dev/replace]: Invalid value: "true": is a label for a single pod`},
	} {
		set, old := goodSet(c.edit), goodSet(nil)
		old.ResourceVersion, set.ResourceVersion = "1", "1"
		if errs := checkStatefulSetUpdate(set, set.DeepCopy()); len(errs) > 0 {
			t.Errorf("%s: unchanged: %v", name, errs)
		}
		created := goodSet(c.edit)
		for how, errs := range map[string]error{"create": checkStatefulSet(created).ToAggregate(), "update": checkStatefulSetUpdate(set, old).ToAggregate()} {
			switch {
			case c.want == "" && errs != nil, c.want != "" && (errs == nil || !strings.Contains(errs.Error(), c.want)):
				t.Errorf("%s: %s: %v, want %q", name, how, errs, c.want)
			}
		}
	}
}

// A set that changes only in place keeps a template that its pods can come to.
func TestOnlyInPlace(t *testing.T) {
	env := func(s *appsv1.StatefulSet) {
		s.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}}
	}
	for name, c := range map[string]struct {
		mode string
		edit func(*appsv1.StatefulSet)
		want string
	}{
		"image":       {"Only", func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].Image = "nginx:2" }, ""},
		"env":         {"Only", env, `spec.template.spec.containers[0].env: Forbidden: cannot change in place (annotation berth.dev/in-place-update: Only)`},
		"env, if not": {"IfPossible", env, ""},
		"never":       {"Never", env, `metadata.annotations[berth.dev/in-place-update]: Invalid value: "Never": must be "IfPossible" or "Only"`},
	} {
		old := goodSet(func(s *appsv1.StatefulSet) { s.ResourceVersion = "1" })
		set := old.DeepCopy()
		set.Annotations[options.InPlaceUpdate] = c.mode
		c.edit(set)
		err := checkStatefulSetUpdate(set, old).ToAggregate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// What a set that is replaced as a whole cannot keep is refused, whichever comes
// second.
func TestRecreate(t *testing.T) {
	const why = "cannot be kept with updateStrategy Recreate, which deletes every pod before it makes one"
	recreate := func(s *appsv1.StatefulSet) {
		s.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RecreateStatefulSetStrategyType}
	}
	for annotation, c := range map[string]struct{ value, want string }{
		options.RespectPDB:    {"true", `metadata.annotations[berth.dev/respect-pdb]: Invalid value: "true": ` + why},
		options.InPlaceUpdate: {"IfPossible", `metadata.annotations[berth.dev/in-place-update]: Invalid value: "IfPossible": ` + why},
		options.PrePull:       {"true", ""},
	} {
		annotate := func(s *appsv1.StatefulSet) { s.Annotations[annotation] = c.value }
		says := func(err error) {
			t.Helper()
			if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
				t.Errorf("%s: %v, want %q", annotation, err, c.want)
			}
		}
		both := goodSet(func(s *appsv1.StatefulSet) { recreate(s); annotate(s); s.ResourceVersion = "1" })
		says(checkStatefulSet(both).ToAggregate())
		for _, half := range []func(*appsv1.StatefulSet){recreate, annotate} {
			old := goodSet(func(s *appsv1.StatefulSet) { half(s); s.ResourceVersion = "1" })
			says(checkStatefulSetUpdate(both.DeepCopy(), old).ToAggregate())
		}
		if err := checkStatefulSetUpdate(both, both.DeepCopy()).ToAggregate(); err != nil {
			t.Errorf("%s: what is there already: %v", annotation, err)
		}
	}
	off := goodSet(func(s *appsv1.StatefulSet) { recreate(s); s.Annotations[options.RespectPDB] = "false" })
	if err := checkStatefulSet(off).ToAggregate(); err != nil {
		t.Error(err)
	}
}

// A name that pods can be made with is accepted, one that none can is refused
// when the set is made, and left alone where it is already.
func TestNameLength(t *testing.T) {
	for n, refused := range map[int]bool{52: false, 53: false, 60: false, 61: true, 63: true} {
		set := goodSet(func(s *appsv1.StatefulSet) { s.Name = strings.Repeat("n", n) })
		err := checkStatefulSet(set).ToAggregate()
		if refused != (err != nil) || refused && !strings.Contains(err.Error(), "must be no more than 60 characters: its pods are called by it and their ordinal") {
			t.Errorf("%d characters: %v", n, err)
		}
		set.ResourceVersion = "1"
		if err := checkStatefulSetUpdate(set, set.DeepCopy()).ToAggregate(); err != nil {
			t.Errorf("%d characters, unchanged: %v", n, err)
		}
	}
}
