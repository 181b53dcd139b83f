package endpoint

import (
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// same compares endpoints. All of them are compared for every change of one of
// their pods, so those that look like ours are compared without reflection.
func same(a, b discoveryv1.Endpoint) bool {
	if !plain(&a) || !plain(&b) {
		return equality.Semantic.DeepEqual(a, b)
	}
	return slices.Equal(a.Addresses, b.Addresses) &&
		equal(a.Conditions.Ready, b.Conditions.Ready) &&
		equal(a.Conditions.Serving, b.Conditions.Serving) &&
		equal(a.Conditions.Terminating, b.Conditions.Terminating) &&
		equal(a.Hostname, b.Hostname) &&
		equal(a.NodeName, b.NodeName) &&
		equal(a.Zone, b.Zone) &&
		equal(a.TargetRef, b.TargetRef)
}

// plain says that the endpoint has only what we write.
func plain(e *discoveryv1.Endpoint) bool {
	return e.Hints == nil && len(e.DeprecatedTopology) == 0
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
