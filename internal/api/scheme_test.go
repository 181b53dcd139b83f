package api

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
)

func TestEachKindIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		key := k.GVK.GroupVersion().WithResource(k.Resource).String()
		if seen[key] {
			t.Errorf("%s is listed twice", key)
		}
		seen[key] = true
		if !Scheme.Recognizes(k.GVK) {
			t.Errorf("%v is not in the scheme", k.GVK)
		}
		if k.Validate == nil || k.ValidateUpdate == nil {
			t.Errorf("%v is not validated", k.GVK)
		}
		if k.HasStatus && (k.CopySpec == nil || k.CopyStatus == nil) {
			t.Errorf("%v has a status but not the functions to keep it apart", k.GVK)
		}
		if k.HasGeneration && k.CopySpec == nil {
			t.Errorf("%v has a generation but nothing to compare", k.GVK)
		}
		obj := k.New()
		if row := k.Row(obj); len(row) != len(k.Columns) || len(row) == 0 {
			t.Errorf("%v has %d columns and %d cells", k.GVK, len(k.Columns), len(row))
		}
		if k.Fields != nil {
			for name := range k.Fields(obj) {
				if _, _, err := Scheme.ConvertFieldLabel(k.GVK, name, "x"); err != nil {
					t.Errorf("%v gives the field %s but does not select by it: %v", k.GVK, name, err)
				}
			}
		}
		if k.Warnings != nil {
			k.Warnings(t.Context(), obj, nil)
		}
	}
}

func TestInternalVersionIsTheSameType(t *testing.T) {
	for _, k := range Kinds() {
		internal := k.GVK.GroupKind().WithVersion(runtime.APIVersionInternal)
		obj, err := Scheme.New(internal)
		if err != nil {
			t.Errorf("%v: %v", internal, err)
			continue
		}
		if got, want := cmp.Diff(obj, k.New()), ""; got != want {
			t.Errorf("%v: %s", internal, got)
		}
		out, err := Scheme.UnsafeConvertToVersion(k.New(), k.GVK.GroupVersion())
		if err != nil || out.GetObjectKind().GroupVersionKind() != k.GVK {
			t.Errorf("%v converts to %v: %v", k.GVK, out, err)
		}
		list, err := Scheme.UnsafeConvertToVersion(k.NewList(), k.GVK.GroupVersion())
		if err != nil || list.GetObjectKind().GroupVersionKind().Kind != k.GVK.Kind+"List" {
			t.Errorf("%v converts to %v: %v", k.GVK, list, err)
		}
	}
}

func TestDefaultsAreIdempotent(t *testing.T) {
	for _, k := range Kinds() {
		once := k.New()
		Scheme.Default(once)
		twice := once.DeepCopyObject()
		Scheme.Default(twice)
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Errorf("%v: %s", k.GVK, diff)
		}
	}
}

func TestUnknownFieldLabel(t *testing.T) {
	_, _, err := Scheme.ConvertFieldLabel(corev1.SchemeGroupVersion.WithKind("Pod"), "spec.foo", "x")
	if err == nil || err.Error() != "field label not supported: spec.foo" {
		t.Errorf("got %v", err)
	}
	name, _, err := Scheme.ConvertFieldLabel(corev1.SchemeGroupVersion.WithKind("Pod"), "spec.host", "x")
	if err != nil || name != "spec.nodeName" {
		t.Errorf("got %q, %v", name, err)
	}
}

func TestLogOptionsFromQuery(t *testing.T) {
	var got corev1.PodLogOptions
	query := url.Values{
		"container": {"c"}, "follow": {"true"}, "tailLines": {"5"}, "previous": {"false"},
		"sinceTime": {"2026-01-02T03:04:05Z"}, "timestamps": {""},
	}
	if err := ParameterCodec.DecodeParameters(query, corev1.SchemeGroupVersion, &got); err != nil {
		t.Fatal(err)
	}
	if got.Container != "c" || !got.Follow || got.Previous || *got.TailLines != 5 || got.SinceTime == nil || !got.Timestamps {
		t.Errorf("got %+v", got)
	}
	err := ParameterCodec.DecodeParameters(url.Values{"tailLines": {"many"}}, corev1.SchemeGroupVersion, &got)
	if err == nil {
		t.Error("tailLines=many was accepted")
	}
	var exec corev1.PodExecOptions
	query = url.Values{"command": {"sh", "-c", "ls"}, "stdin": {"1"}, "tty": {"0"}}
	if err := ParameterCodec.DecodeParameters(query, corev1.SchemeGroupVersion, &exec); err != nil {
		t.Fatal(err)
	}
	if !exec.Stdin || exec.TTY || strings.Join(exec.Command, " ") != "sh -c ls" {
		t.Errorf("got %+v", exec)
	}
}

// TestStrictDecoding pins what the decoder says: users see it word for word.
func TestStrictDecoding(t *testing.T) {
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, Scheme, Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	for _, c := range []struct{ manifest, want string }{
		{
			"{apiVersion: apps/v1, kind: StatefulSet, spec: {replica: 3}}",
			`strict decoding error: unknown field "spec.replica"`,
		},
		{
			"{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: three}}",
			"json: cannot unmarshal string into Go struct field StatefulSetSpec.spec.replicas of type int32",
		},
		{
			"{apiVersion: v1, kind: Pod, metadata: {name: a, name: b}}",
			`strict decoding error: yaml: unmarshal errors:
  line 1: key "name" already set in map`,
		},
	} {
		_, _, err := strict.Decode([]byte(c.manifest), nil, nil)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %v", c.manifest, err, c.want)
		}
	}
}

// TestProtobufRoundTrip checks that what is stored is what was given.
func TestProtobufRoundTrip(t *testing.T) {
	var info runtime.SerializerInfo
	for _, i := range Codecs.SupportedMediaTypes() {
		if i.MediaType == runtime.ContentTypeProtobuf {
			info = i
		}
	}
	for _, k := range Kinds() {
		if _, ok := k.New().(interface{ Marshal() ([]byte, error) }); !ok {
			continue
		}
		obj := k.New()
		obj.(metav1.Object).SetName("a")
		Scheme.Default(obj)
		codec := Codecs.CodecForVersions(info.Serializer, info.Serializer, k.GVK.GroupVersion(), runtime.InternalGroupVersioner)
		var text bytes.Buffer
		if err := codec.Encode(obj, &text); err != nil {
			t.Fatalf("%v: %v", k.GVK, err)
		}
		back, _, err := codec.Decode(text.Bytes(), nil, nil)
		if err != nil {
			t.Fatalf("%v: %v", k.GVK, err)
		}
		back.GetObjectKind().SetGroupVersionKind(obj.GetObjectKind().GroupVersionKind())
		if !equality.Semantic.DeepEqual(obj, back) {
			t.Errorf("%v: %s", k.GVK, cmp.Diff(obj, back))
		}
	}
}
