package kind

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is one API group.
type Group struct {
	// Versions are the group's versions, the preferred one first.
	Versions []Version
	// Kinds are what is served of it, in the order of discovery. A group
	// without kinds has types that others use, such as Scale.
	Kinds []Kind
	// Internal registers the group's internal version and the conversions to
	// it. Without it the types of its one version are their own internal form.
	Internal func(*runtime.Scheme) error
}

// Version is a version of a group and what registers its types.
type Version struct {
	schema.GroupVersion
	Add func(*runtime.Scheme) error
}
