package quantity

import "reflect"

// Named returns the type of the kind with that name, nil if there is none.
type Named func(apiVersion, kind string) reflect.Type

// InBody looks for an endless quantity in the body of a request for objects of
// the expected type. The decoder reads a body as what it calls itself before it
// compares that with the address, so a body is looked at as both.
func InBody(mediaType string, text []byte, expected reflect.Type, named Named) error {
	switch mediaType {
	case "application/yaml", "application/apply-patch+yaml":
		return inYAML(text, expected, named)
	case "application/vnd.kubernetes.protobuf":
		return inProtobuf(text, expected, named)
	case "application/json-patch+json":
		return inPatch(text, expected)
	}
	return inJSON(text, expected, named)
}

func both(expected, said reflect.Type, find func(reflect.Type) error) error {
	if err := find(expected); err != nil || said == expected {
		return err
	}
	return find(said)
}
