package api

import "testing"

func TestEachKindIsKnown(t *testing.T) {
	for _, k := range Kinds() {
		if !Scheme.Recognizes(k.GVK) {
			t.Errorf("%v is not in the scheme", k.GVK)
		}
	}
}
