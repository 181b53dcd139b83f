package fuzz

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"berth.dev/berth/internal/api"
)

// exercise takes a decoded object through all that the registry does with it.
func (s subject) exercise(t testing.TB, obj runtime.Object) {
	t.Helper()
	ctx := context.Background()
	again := obj.DeepCopyObject()
	api.Scheme.Default(again)
	if !equality.Semantic.DeepEqual(obj, again) {
		t.Errorf("defaulting is not idempotent: %s", cmp.Diff(obj, again))
	}
	s.show(t, obj)
	given := obj.DeepCopyObject()
	if s.Kind.Validate != nil {
		s.Kind.Validate(ctx, obj)
		s.Kind.ValidateUpdate(ctx, obj, given)
	}
	if !equality.Semantic.DeepEqual(obj, given) {
		t.Errorf("validation changed the object: %s", cmp.Diff(given, obj))
	}
	created := obj.DeepCopyObject()
	err := s.create(ctx, created)
	if err != nil {
		if _, ok := err.(apierrors.APIStatus); !ok {
			t.Errorf("no API error: %v", err)
		}
		s.bend(ctx, obj)
		return
	}
	// What is refused need not survive: an empty list that a field must not have
	// may come back as the default of a missing one.
	created = s.reread(t, created)
	s.store(t, created)
	s.show(t, created)
	s.update(t, ctx, created)
	s.updateStatus(t, ctx, created, given)
}

// create does what a POST does short of storing.
func (s subject) create(ctx context.Context, obj runtime.Object) error {
	meta := obj.(metav1.Object)
	if s.Namespaced {
		meta.SetNamespace("default")
	}
	rest.FillObjectMetaSystemFields(meta)
	return rest.BeforeCreate(s.CreateStrategy, s.within(ctx), obj)
}

// within puts the request's namespace into ctx.
func (s subject) within(ctx context.Context) context.Context {
	if s.Namespaced {
		return apirequest.WithNamespace(ctx, "default")
	}
	return apirequest.WithNamespace(ctx, metav1.NamespaceNone)
}

// createOnly are objects that upstream creates but does not let anybody update,
// by kind and what it says then.
var createOnly = map[string]string{
	"Node": "status.addresses", // repeated ones are looked for in updates only
}

// update writes an object as it is, which must be neither refused nor change it.
func (s subject) update(t testing.TB, ctx context.Context, obj runtime.Object) {
	t.Helper()
	old := obj.DeepCopyObject()
	old.(metav1.Object).SetResourceVersion("7")
	same := old.DeepCopyObject()
	if err := rest.BeforeUpdate(s.UpdateStrategy, s.within(ctx), same, old); err != nil {
		if said := createOnly[s.GVK.Kind]; said != "" && strings.Contains(err.Error(), said) {
			return
		}
		t.Errorf("an update that changes nothing is refused: %v", err)
	} else if !equality.Semantic.DeepEqual(same, old) {
		t.Errorf("an update that changes nothing changed: %s", cmp.Diff(old, same))
	}
}

// updateStatus writes the status of wanted, of which only that may get in.
func (s subject) updateStatus(t testing.TB, ctx context.Context, old, wanted runtime.Object) {
	t.Helper()
	if !s.HasStatus {
		return
	}
	obj := wanted.DeepCopyObject()
	s.Kind.CopySpec(obj, old)
	if s.PrepareStatusUpdate != nil {
		s.PrepareStatusUpdate(ctx, obj, old)
	}
	if s.ValidateStatusUpdate != nil {
		s.ValidateStatusUpdate(ctx, obj, old)
	}
	s.Kind.CopyStatus(obj, old)
	obj.(metav1.Object).SetManagedFields(old.(metav1.Object).GetManagedFields())
	rest.WipeObjectMetaSystemFields(obj.(metav1.Object))
	kept := old.DeepCopyObject()
	rest.WipeObjectMetaSystemFields(kept.(metav1.Object))
	for _, o := range []metav1.Object{obj.(metav1.Object), kept.(metav1.Object)} {
		scrub(o)
	}
	if !equality.Semantic.DeepEqual(obj, kept) {
		t.Errorf("a status update changed more than status: %s", cmp.Diff(kept, obj))
	}
}

// scrub drops the metadata that a status update may carry.
func scrub(o metav1.Object) {
	o.SetLabels(nil)
	o.SetAnnotations(nil)
	o.SetFinalizers(nil)
	o.SetOwnerReferences(nil)
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetGeneration(0)
	o.SetName("")
	o.SetNamespace("")
	o.SetGenerateName("")
	o.SetResourceVersion("")
}

// bend applies what an update would apply to an object that is not valid: old
// ones in the datastore may be of another version's making.
func (s subject) bend(ctx context.Context, obj runtime.Object) {
	old := obj.DeepCopyObject()
	s.UpdateStrategy.PrepareForUpdate(ctx, obj, old)
	s.UpdateStrategy.ValidateUpdate(ctx, obj, old)
	s.UpdateStrategy.WarningsOnUpdate(ctx, obj, old)
	s.CreateStrategy.WarningsOnCreate(ctx, obj)
	s.UpdateStrategy.ValidateUpdate(ctx, obj, s.Kind.New())
	s.UpdateStrategy.ValidateUpdate(ctx, s.Kind.New(), old)
	s.UpdateStrategy.PrepareForUpdate(ctx, obj, s.Kind.New())
	if s.ValidateStatusUpdate != nil {
		s.ValidateStatusUpdate(ctx, obj, s.Kind.New())
		s.ValidateStatusUpdate(ctx, obj, old)
	}
}

// reread returns obj as it is after a time in the datastore, where times have no
// fractions.
func (s subject) reread(t testing.TB, obj runtime.Object) runtime.Object {
	t.Helper()
	codec := api.Codecs.LegacyCodec(s.GVK.GroupVersion())
	text, err := runtime.Encode(codec, obj)
	if err != nil {
		t.Fatalf("encoding: %v", err)
	}
	back, err := runtime.Decode(codec, text)
	if err != nil {
		t.Fatalf("decoding what was encoded: %v", err)
	}
	return back
}

// show makes the table's row, the selectable fields and the scale of an object.
func (s subject) show(t testing.TB, obj runtime.Object) {
	t.Helper()
	if s.Row != nil && len(s.Row(obj)) != len(s.Columns) {
		t.Errorf("%d cells in %d columns", len(s.Row(obj)), len(s.Columns))
	}
	if s.Fields != nil {
		s.Fields(obj)
	}
	if s.DefaultGracePeriod != nil {
		s.DefaultGracePeriod(obj, nil)
	}
	if s.Kind.Scale != nil {
		n, _, _ := s.Kind.Scale.Get(obj)
		same := obj.DeepCopyObject()
		s.Kind.Scale.Set(same, n)
		if m, _, _ := s.Kind.Scale.Get(same); m != n {
			t.Errorf("scaled to %d, got %d", n, m)
		}
	}
}

// store checks that each encoding gives back what it was given.
func (s subject) store(t testing.TB, obj runtime.Object) {
	t.Helper()
	stored := s.StoredAs
	if stored.Empty() {
		stored = s.GVK.GroupVersion()
	}
	_, hasProtobuf := obj.(interface{ Marshal() ([]byte, error) })
	for _, info := range api.Codecs.SupportedMediaTypes() {
		if info.MediaType == runtime.ContentTypeProtobuf && !hasProtobuf {
			continue
		}
		codec := api.Codecs.CodecForVersions(info.Serializer, info.Serializer, stored, runtime.InternalGroupVersioner)
		var text, second bytes.Buffer
		given := obj.DeepCopyObject()
		if err := codec.Encode(given, &text); err != nil {
			t.Errorf("%s: encoding: %v", info.MediaType, err)
			continue
		}
		if !equality.Semantic.DeepEqual(given, obj) {
			t.Errorf("%s: encoding changed the object: %s", info.MediaType, cmp.Diff(obj, given))
		}
		back, _, err := codec.Decode(text.Bytes(), nil, nil)
		if err != nil {
			t.Errorf("%s: decoding what was encoded: %v\n%s", info.MediaType, err, text.String())
			continue
		}
		if !equality.Semantic.DeepEqual(obj, back) {
			t.Errorf("%s: stored and read back differ: %s", info.MediaType, cmp.Diff(obj, back))
		}
		if err := codec.Encode(back, &second); err != nil || info.EncodesAsText && !bytes.Equal(text.Bytes(), second.Bytes()) {
			t.Errorf("%s: encoded twice, the results differ: %v\n%s\n%s", info.MediaType, err, text.String(), second.String())
		}
	}
}
