package options

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Order is the order in which a rollout takes pods; the zero value is upstream's,
// highest ordinal first.
type Order struct {
	Ascending bool
	// Label, when set, parts the pods in turns: those whose value is not listed go
	// first, then those of each of Values; highest ordinal first in each turn.
	Label  string
	Values []string
}

var errOrder = errors.New(`must be "descending", "ascending" or a pod label with the values that go last, such as "role=replica,primary"`)

// ParseOrder reads the annotation UpdateOrder.
func ParseOrder(text string) (Order, error) {
	switch text {
	case "descending":
		return Order{}, nil
	case "ascending":
		return Order{Ascending: true}, nil
	}
	key, list, ok := strings.Cut(text, "=")
	if !ok {
		return Order{}, errOrder
	}
	o := Order{Label: key, Values: strings.Split(list, ",")}
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		return Order{}, fmt.Errorf("%w; %q is no label: %s", errOrder, key, problems[0])
	}
	for i, value := range o.Values {
		problems := validation.IsValidLabelValue(value)
		switch {
		case len(problems) > 0:
			return Order{}, fmt.Errorf("%w; %q is no value of a label: %s", errOrder, value, problems[0])
		case value == "":
			return Order{}, errOrder
		case slices.Contains(o.Values[:i], value):
			return Order{}, fmt.Errorf("%w; %q is named twice", errOrder, value)
		}
	}
	return o, nil
}

// Turn is when a pod with these labels goes: 0 first.
func (o Order) Turn(labels map[string]string) int {
	if o.Label == "" {
		return 0
	}
	return slices.Index(o.Values, labels[o.Label]) + 1
}

// Default reports whether the order is upstream's.
func (o Order) Default() bool { return !o.Ascending && o.Label == "" }
