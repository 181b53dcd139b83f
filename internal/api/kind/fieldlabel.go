package kind

import (
	"fmt"
	"slices"
)

// ConvertFieldLabel accepts the field selectors of k and refuses all others.
func (k Kind) ConvertFieldLabel(label, value string) (string, string, error) {
	switch label {
	case "metadata.name":
		return label, value, nil
	case "metadata.namespace":
		if k.Namespaced {
			return label, value, nil
		}
	}
	if name, ok := k.FieldAliases[label]; ok {
		return name, value, nil
	}
	if slices.Contains(k.FieldNames, label) {
		return label, value, nil
	}
	return "", "", fmt.Errorf("field label not supported: %s", label)
}
