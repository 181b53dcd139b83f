package api

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/api/kind"
)

// apiCase is one entry of testdata/cases/*.yaml: an object that is created, or
// that replaces Old, and all that is said about it.
type apiCase struct {
	Name   string
	Object map[string]any
	Old    map[string]any
	// Base names an earlier case of the file. Patch, a JSON merge patch, makes
	// Object of its object, and Update makes that object Old.
	Base   string
	Patch  map[string]any
	Update bool
	Status bool   // through the status subresource
	Part   string // through the subresource of a part
	Want   []string
	Warn   []string
}

func TestCases(t *testing.T) {
	eachCase(t, func(file string, c apiCase) { t.Run(file+"/"+c.Name, c.run) })
}

// eachCase hands out the cases of all files.
func eachCase(t *testing.T, visit func(file string, c apiCase)) {
	t.Helper()
	files, err := filepath.Glob("testdata/cases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cases []apiCase
		if err := yaml.UnmarshalStrict(text, &cases); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		objects := map[string]map[string]any{}
		for _, c := range cases {
			c.build(t, objects)
			visit(filepath.Base(file), c)
		}
	}
}

func (c apiCase) run(t *testing.T) {
	got, warnings := c.outcome(t)
	if diff := cmp.Diff(c.Want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s\n%s", diff, asCase("want", got))
	}
	if c.Warn != nil {
		if diff := cmp.Diff(c.Warn, warnings); diff != "" {
			t.Errorf("warnings (-want +got):\n%s\n%s", diff, asCase("warn", warnings))
		}
	}
}

// outcome is what the server would say to the request.
func (c apiCase) outcome(t *testing.T) (got, warnings []string) {
	t.Helper()
	ctx := context.Background()
	k, obj := decodeCase(t, c.Object)
	var errs field.ErrorList
	warn := func(f func(context.Context, runtime.Object, runtime.Object) []string, o, old runtime.Object) {
		if f != nil {
			warnings = f(ctx, o, old)
		}
	}
	switch {
	case c.Old == nil:
		if k.PrepareCreate != nil {
			k.PrepareCreate(ctx, obj)
		}
		errs = k.Validate(ctx, obj)
		warn(k.Warnings, obj, nil)
	case c.Part != "":
		_, old := decodeCase(t, c.Old)
		i := slices.IndexFunc(k.Parts, func(p kind.Part) bool { return p.Name == c.Part })
		k.Parts[i].Prepare(ctx, obj, old)
		errs = k.Parts[i].Validate(ctx, obj, old)
	case c.Status:
		_, old := decodeCase(t, c.Old)
		k.CopySpec(obj, old)
		if k.PrepareStatusUpdate != nil {
			k.PrepareStatusUpdate(ctx, obj, old)
		}
		errs = k.ValidateStatusUpdate(ctx, obj, old)
		warn(k.StatusWarnings, obj, old)
	default:
		_, old := decodeCase(t, c.Old)
		if k.CopyStatus != nil {
			k.CopyStatus(obj, old)
		}
		errs = k.ValidateUpdate(ctx, obj, old)
		warn(k.Warnings, obj, old)
	}
	for _, e := range errs {
		got = append(got, e.Error())
	}
	return got, warnings
}

// asCase writes what was said in the way the files have it.
func asCase(key string, said []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "  %s:\n", key)
	for _, s := range said {
		fmt.Fprintf(&out, "  - %s\n", strconv.QuoteToGraphic(s))
	}
	return out.String()
}

// build makes Object and Old of Base and Patch.
func (c *apiCase) build(t *testing.T, objects map[string]map[string]any) {
	t.Helper()
	if c.Base != "" {
		base := objects[c.Base]
		if base == nil {
			t.Fatalf("case %q: no earlier case %q", c.Name, c.Base)
		}
		if c.Update {
			c.Old = base
		}
		c.Object = merged(base, c.Patch)
	}
	objects[c.Name] = c.Object
}

// merged applies a JSON merge patch; lists are replaced.
func merged(to, patch map[string]any) map[string]any {
	out := maps.Clone(to)
	if out == nil {
		out = map[string]any{}
	}
	for key, value := range patch {
		inner, isMap := value.(map[string]any)
		switch {
		case value == nil:
			delete(out, key)
		case isMap:
			was, _ := out[key].(map[string]any)
			out[key] = merged(was, inner)
		default:
			out[key] = value
		}
	}
	return out
}

func decodeCase(t *testing.T, object map[string]any) (Kind, runtime.Object) {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	obj, gvk, err := Codecs.UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	Scheme.Default(obj)
	if obj, err = Scheme.ConvertToVersion(obj, runtime.InternalGroupVersioner); err != nil {
		t.Fatal(err)
	}
	k := kindOf(t, *gvk)
	m := obj.(metav1.Object)
	if k.Namespaced && m.GetNamespace() == "" {
		m.SetNamespace("default")
	}
	m.SetResourceVersion("1")
	return k, obj
}

func kindOf(t *testing.T, gvk schema.GroupVersionKind) Kind {
	t.Helper()
	for _, k := range Kinds() {
		if k.GVK == gvk {
			return k
		}
	}
	t.Fatalf("no kind %v", gvk)
	return Kind{}
}
