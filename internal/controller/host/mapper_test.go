package host

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"berth.dev/berth/internal/api"
)

func TestMapperKnowsEveryServedKind(t *testing.T) {
	mapper := staticMapper(clientScheme())
	for _, k := range api.Kinds() {
		mapping, err := mapper.RESTMapping(k.GVK.GroupKind(), k.GVK.Version)
		if err != nil {
			t.Errorf("%s: %v", k.GVK, err)
			continue
		}
		if mapping.Resource.Resource != k.Resource {
			t.Errorf("%s: resource %q, want %q", k.GVK, mapping.Resource.Resource, k.Resource)
		}
		if namespaced := mapping.Scope.Name() == meta.RESTScopeNameNamespace; namespaced != k.Namespaced {
			t.Errorf("%s: namespaced %t, want %t", k.GVK, namespaced, k.Namespaced)
		}
	}
}
