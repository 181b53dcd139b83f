package behaviour

import (
	"slices"
	"testing"
)

// TestDeprecatedKinds warns of kinds that are about to go, and of no others.
func TestDeprecatedKinds(t *testing.T) {
	w := start(t)
	for path, want := range map[string][]string{
		"/api/v1/componentstatuses":                      {`299 - "v1 ComponentStatus is deprecated in v1.19+"`},
		"/api/v1/componentstatuses/etcd-0":               {`299 - "v1 ComponentStatus is deprecated in v1.19+"`},
		"/api/v1/namespaces/default/endpoints":           {`299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"`},
		"/api/v1/namespaces/default/configmaps":          nil,
		"/api/v1/namespaces/default/services/kubernetes": nil,
	} {
		if got := w.get(path).header.Values("Warning"); !slices.Equal(got, want) {
			t.Errorf("%s warns %q, want %q", path, got, want)
		}
	}
}
