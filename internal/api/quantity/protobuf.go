package quantity

import (
	"bytes"
	"reflect"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// prefix is what encoded objects begin with.
var prefix = []byte("k8s\x00")

func inProtobuf(text []byte, expected reflect.Type, named Named) error {
	message, ok := bytes.CutPrefix(text, prefix)
	if !ok || !suspicious(text) {
		return nil
	}
	var unknown runtime.Unknown
	if unknown.Unmarshal(message) != nil {
		return nil // the decoder says it
	}
	return both(expected, named(unknown.APIVersion, unknown.Kind), func(t reflect.Type) error {
		return inMessage(unknown.Raw, t, nil, 0)
	})
}

func inMessage(message []byte, t reflect.Type, at *field.Path, depth int) error {
	if !holds(t) || depth > maxDepth {
		return nil
	}
	t = target(t)
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		return inMessage(message, t.Elem(), at, depth) // elements follow one another
	}
	return eachField(message, func(number string, content []byte) error {
		switch {
		case t == quantityType && number == "1":
			return check(string(content), t, at)
		case t.Kind() == reflect.Map && number == "2":
			return inMessage(content, t.Elem(), at, depth+1)
		}
		inner, name := numbered(t, number)
		return inMessage(content, inner, child(at, name), depth+1)
	})
}

// eachField calls f with every field that has bytes in it, until the message
// ends or is none.
func eachField(message []byte, f func(number string, content []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
				return nil
			}
			message = message[n:]
			continue
		}
		content, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return nil
		}
		if err := f(strconv.Itoa(int(number)), content); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}
