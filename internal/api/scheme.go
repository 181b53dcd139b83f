// Package api lists every kind that Berth serves and makes the Scheme of them.
// Each group is declared by the package of its name, in the vocabulary of
// package kind; validation, defaults, columns and warning hold what is said
// about the core group and what several groups share. Nothing here knows of
// HTTP or storage: internal/apiserver turns the declarations into REST endpoints.
package api

import (
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"berth.dev/berth/internal/api/kind"
)

var (
	// Scheme knows every served type, its defaults and field labels. The
	// internal version of a type is the type itself, registered a second time,
	// so that converting between versions copies nothing.
	Scheme = newScheme()
	// Codecs are the serializers of Scheme: JSON, YAML and protobuf.
	Codecs = serializer.NewCodecFactory(Scheme)
	// ParameterCodec reads query parameters into options types.
	ParameterCodec = runtime.NewParameterCodec(Scheme)
)

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, g := range groups {
		addGroup(s, g)
		for _, k := range g.Kinds {
			if k.Default != nil {
				s.AddTypeDefaultingFunc(k.New(), func(o any) { k.Default(o.(runtime.Object)) })
			}
			utilruntime.Must(s.AddFieldLabelConversionFunc(k.GVK, k.ConvertFieldLabel))
		}
	}
	utilruntime.Must(addOptionConversions(s))
	return s
}

func addGroup(s *runtime.Scheme, g kind.Group) {
	versions := make([]schema.GroupVersion, 0, len(g.Versions))
	for _, v := range g.Versions {
		utilruntime.Must(v.Add(s))
		versions = append(versions, v.GroupVersion)
	}
	if g.Internal != nil {
		utilruntime.Must(g.Internal(s))
	} else {
		addInternal(s, versions[0])
	}
	utilruntime.Must(s.SetVersionPriority(versions...))
}

// addInternal registers the types of gv once more as the group's internal
// version. The types that every group shares have a registration of their own.
func addInternal(s *runtime.Scheme, gv schema.GroupVersion) {
	internal := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
	for kind, t := range s.KnownTypes(gv) {
		if strings.HasPrefix(t.PkgPath(), "k8s.io/apimachinery/") {
			continue
		}
		s.AddKnownTypeWithName(internal.WithKind(kind), reflect.New(t).Interface().(runtime.Object))
	}
}
