package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiserver/pkg/admission"
)

// builtInKinds refuses to define what Berth serves by itself: a chart that brings
// its own definitions of these kinds brings the controllers of them too, and two
// would work on the same objects.
type builtInKinds struct {
	*admission.Handler
	groups []string
}

func newBuiltInKinds(o Options) builtInKinds {
	return builtInKinds{admission.NewHandler(admission.Create), o.BuiltIn}
}

// Validate implements admission.ValidationInterface.
func (b builtInKinds) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "" || a.GetResource().GroupResource() != apiextensionsv1.Resource("customresourcedefinitions") {
		return nil
	}
	_, group, _ := strings.Cut(a.GetName(), ".") // a definition is named so
	if !slices.Contains(b.groups, group) {
		return nil
	}
	return admission.NewForbidden(a, fmt.Errorf("the kinds of %s are built into Berth: use them as they are, and do not install the chart or manifest that defines them", group))
}
