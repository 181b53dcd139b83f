package quantity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// maxDepth is where the library stops reading.
const maxDepth = 10_000

func inJSON(text []byte, expected reflect.Type, named Named) error {
	if !suspicious(text) && !escaped(text) {
		return nil
	}
	var said metav1.TypeMeta
	_ = json.Unmarshal(text, &said) // without these it is what the address says
	return both(expected, named(said.APIVersion, said.Kind), func(t reflect.Type) error { return inValue(text, t, nil) })
}

func inYAML(text []byte, expected reflect.Type, named Named) error {
	if !suspicious(text) && !disguised(text) {
		return nil
	}
	text, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil //nolint:nilerr // the decoder says it
	}
	return inJSON(text, expected, named)
}

// escaped says whether a character of a quantity may be written as an escape.
func escaped(text []byte) bool {
	for {
		at := bytes.Index(text, []byte(`\u00`))
		if at < 0 || len(text) < at+6 {
			return false
		}
		switch text[at+4] {
		case '3', '4', '6':
			if text[at+5] != 'c' && text[at+5] != 'e' { // those are < and >, which Go's encoder escapes
				return true
			}
		case '2':
			if bytes.IndexByte([]byte("bBdDeE"), text[at+5]) >= 0 {
				return true
			}
		}
		text = text[at+4:]
	}
}

// disguised says whether YAML uses means that can write a quantity in other
// characters: escapes, tags, another encoding.
func disguised(text []byte) bool {
	for _, means := range []string{`\`, "!", "\x00", "%TAG"} {
		if bytes.Contains(text, []byte(means)) {
			return true
		}
	}
	return false
}

// inValue goes through the text once, without building anything, and leaves
// mistakes of another kind to the decoder.
func inValue(text []byte, t reflect.Type, at *field.Path) error {
	if !holds(t) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	w := walk{d}
	_, err := w.value(t, at, 0)
	return err
}

type walk struct{ *json.Decoder }

// value reads one value and everything in it; more is false once there is
// nothing sensible to read.
func (w walk) value(t reflect.Type, at *field.Path, depth int) (more bool, err error) {
	token, fault := w.Token()
	if fault != nil || depth > maxDepth {
		return false, nil
	}
	switch v := token.(type) {
	case json.Delim:
		return w.inside(v, t, at, depth)
	case string:
		return true, check(v, t, at)
	case json.Number:
		return true, check(string(v), t, at)
	}
	return true, nil
}

func (w walk) inside(open json.Delim, t reflect.Type, at *field.Path, depth int) (bool, error) {
	for i := 0; w.More(); i++ {
		inner, where := element(t, ""), at
		if open == '{' {
			key, fault := w.Token()
			name, ok := key.(string)
			if fault != nil || !ok {
				return false, nil
			}
			inner, where = element(t, name), child(at, name)
		} else if at != nil {
			where = at.Index(i)
		}
		if more, err := w.value(inner, where, depth+1); err != nil || !more {
			return false, err
		}
	}
	_, fault := w.Token()
	return fault == nil, nil
}

func child(at *field.Path, name string) *field.Path {
	if at == nil {
		return field.NewPath(name)
	}
	return at.Child(name)
}

func check(text string, t reflect.Type, at *field.Path) error {
	if target(t) != quantityType || !Endless(text) {
		return nil
	}
	if len(text) > 40 {
		text = text[:40] + "..."
	}
	return fmt.Errorf("%s: quantity %q has an exponent beyond %d or more than %d characters", at, text, maxExponent, maxLength)
}
