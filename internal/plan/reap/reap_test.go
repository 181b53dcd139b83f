package reap

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func object(more ...func(*metav1.ObjectMeta)) *metav1.ObjectMeta {
	o := &metav1.ObjectMeta{Name: "o", UID: "o"}
	for _, f := range more {
		f(o)
	}
	return o
}

func ownedBy(blocks bool, uids ...types.UID) func(*metav1.ObjectMeta) {
	return func(o *metav1.ObjectMeta) {
		for _, uid := range uids {
			o.OwnerReferences = append(o.OwnerReferences, metav1.OwnerReference{UID: uid, BlockOwnerDeletion: ptr.To(blocks)})
		}
	}
}

func deleted(finalizers ...string) func(*metav1.ObjectMeta) {
	return func(o *metav1.ObjectMeta) { o.DeletionTimestamp = &metav1.Time{}; o.Finalizers = finalizers }
}

func finalizer(f string) func(*metav1.ObjectMeta) {
	return func(o *metav1.ObjectMeta) { o.Finalizers = append(o.Finalizers, f) }
}

func TestDecide(t *testing.T) {
	dependent := object(ownedBy(true, "o"))
	free := object(ownedBy(false, "o"))
	leaving := object(ownedBy(true, "o"), deleted(metav1.FinalizerDeleteDependents))
	cases := map[string]struct {
		object     *metav1.ObjectMeta
		owners     map[types.UID]Owner
		dependents []metav1.Object
		want       string
	}{
		"nobody's":                        {object: object(), want: "rest"},
		"owner there":                     {object: object(ownedBy(true, "a")), owners: map[types.UID]Owner{"a": Present}, want: "rest"},
		"owner of an unknown kind":        {object: object(ownedBy(true, "a")), owners: map[types.UID]Owner{"a": Unknown}, want: "rest"},
		"owner gone":                      {object: object(ownedBy(true, "a")), owners: map[types.UID]Owner{"a": Absent}, want: "delete Background"},
		"owner gone, told to orphan":      {object: object(ownedBy(true, "a"), finalizer("orphan")), owners: map[types.UID]Owner{"a": Absent}, want: "delete Orphan"},
		"owner gone, told to wait":        {object: object(ownedBy(true, "a"), finalizer("foregroundDeletion")), owners: map[types.UID]Owner{"a": Absent}, want: "delete Foreground"},
		"one of two gone":                 {object: object(ownedBy(true, "a", "b")), owners: map[types.UID]Owner{"a": Absent, "b": Present}, want: "owners b"},
		"gone and unknown":                {object: object(ownedBy(true, "a", "b")), owners: map[types.UID]Owner{"a": Absent, "b": Unknown}, want: "rest"},
		"owner waits, another wants it":   {object: object(ownedBy(true, "a", "b")), owners: map[types.UID]Owner{"a": Waiting, "b": Present}, want: "owners b"},
		"owner waits":                     {object: object(ownedBy(true, "a")), owners: map[types.UID]Owner{"a": Waiting}, want: "delete Background"},
		"owner waits, has dependents":     {object: object(ownedBy(true, "a")), owners: map[types.UID]Owner{"a": Waiting}, dependents: []metav1.Object{dependent}, want: "delete Foreground"},
		"circle":                          {object: object(ownedBy(true, "a")), owners: map[types.UID]Owner{"a": Waiting}, dependents: []metav1.Object{leaving}, want: "owners a delete Foreground"},
		"going, no business of ours":      {object: object(deleted("x")), dependents: []metav1.Object{dependent}, want: "rest"},
		"orphans its dependents":          {object: object(deleted("orphan")), dependents: []metav1.Object{dependent, free}, want: "orphan 2 finalizer orphan"},
		"waits for blocking dependents":   {object: object(deleted("foregroundDeletion")), dependents: []metav1.Object{dependent, free}, want: "collect 2"},
		"waits for one that is going":     {object: object(deleted("foregroundDeletion")), dependents: []metav1.Object{leaving}, want: "rest"},
		"does not wait for free ones":     {object: object(deleted("foregroundDeletion")), dependents: []metav1.Object{free}, want: "finalizer foregroundDeletion"},
		"nothing left to wait for":        {object: object(deleted("foregroundDeletion")), want: "finalizer foregroundDeletion"},
		"stops its dependents in order":   {object: object(deleted("foregroundDeletion", "berth.dev/ordered-teardown")), dependents: []metav1.Object{dependent}, want: "rest"},
		"told to orphan them instead":     {object: object(deleted("orphan", "berth.dev/ordered-teardown")), dependents: []metav1.Object{dependent}, want: "orphan 1 finalizer orphan"},
		"its owner is gone, going itself": {object: object(ownedBy(true, "a"), deleted("x")), owners: map[types.UID]Owner{"a": Absent}, want: "rest"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := describe(Decide(State{Object: c.object, Owners: c.owners, Dependents: c.dependents}))
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func describe(p Plan) string {
	var out string
	add := func(s string) {
		if out != "" {
			out += " "
		}
		out += s
	}
	digits := "0123456789"
	if n := len(p.Orphan); n > 0 {
		add("orphan " + digits[n:n+1])
	}
	if n := len(p.Collect); n > 0 {
		add("collect " + digits[n:n+1])
	}
	if p.Finalizer != "" {
		add("finalizer " + p.Finalizer)
	}
	if p.SetOwners {
		add("owners")
		for _, o := range p.Owners {
			add(string(o.UID))
		}
	}
	if p.Delete != nil {
		add("delete " + string(*p.Delete))
	}
	if out == "" {
		return "rest"
	}
	return out
}
