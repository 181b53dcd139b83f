package quantity

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// inPatch looks for an endless quantity in what a JSON patch (RFC 6902) puts
// into an object of type t. It also refuses to copy something into a quantity
// that was none, as that could be anything.
func inPatch(text []byte, t reflect.Type) error {
	var steps []map[string]json.RawMessage
	if !holds(t) || json.Unmarshal(text, &steps) != nil {
		return nil // mistakes of another kind are the library's to tell
	}
	for _, step := range steps {
		word := func(name string) (s string) {
			_ = json.Unmarshal(step[name], &s)
			return s
		}
		to, at := pointed(t, word("path"))
		op := word("op")
		if op != "copy" && op != "move" {
			if err := inValue(step["value"], to, at); err != nil {
				return err
			}
			continue
		}
		if from, _ := pointed(t, word("from")); holds(to) && target(from) != target(to) {
			return fmt.Errorf("%s: cannot %s %q, which is of another type, into a quantity", at, op, word("from"))
		}
	}
	return nil
}

// pointed is what a JSON pointer (RFC 6901) points at.
func pointed(t reflect.Type, pointer string) (reflect.Type, *field.Path) {
	var at *field.Path
	if pointer == "" {
		return t, at
	}
	for _, name := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		t, at = element(t, name), child(at, name)
	}
	return t, at
}
