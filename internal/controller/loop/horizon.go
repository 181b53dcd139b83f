package loop

import (
	"reflect"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Horizon says how far the shared cache has followed the API server.
type Horizon interface {
	// Seen returns the newest resourceVersion that the cache of this kind
	// holds. A kind that the cache does not hold is never behind: the answer is
	// math.MaxUint64.
	Seen(kind client.Object) uint64
}

// KindKey tells kinds apart without a scheme: by Go type, and for the types that
// stand for many kinds (metadata only, unstructured) by their declared kind too.
type KindKey struct {
	Type reflect.Type
	GVK  schema.GroupVersionKind
}

// KeyOf returns the key of the kind that obj is of.
func KeyOf(obj client.Object) KindKey {
	key := KindKey{Type: reflect.TypeOf(obj)}
	switch obj.(type) {
	case runtime.Unstructured, *metav1.PartialObjectMetadata:
		key.GVK = obj.GetObjectKind().GroupVersionKind()
	}
	return key
}

// Version is a resourceVersion as a number; 0 when it is not one.
func Version(resourceVersion string) uint64 {
	v, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return v
}
