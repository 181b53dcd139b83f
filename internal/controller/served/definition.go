package served

import (
	"context"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"berth.dev/berth/internal/controller/reap"
)

// Definition implements reap.Foreign.
func (o *Owners) Definition(ctx context.Context, name string) (*reap.Custom, error) {
	crd, err := o.definitions.CustomResourceDefinitions().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nothing is defined
	}
	if err != nil {
		return nil, err
	}
	version := listed(crd)
	if version == "" {
		return nil, nil //nolint:nilnil // nothing is served
	}
	return &reap.Custom{
		GVK:        schema.GroupVersionKind{Group: crd.Spec.Group, Version: version, Kind: crd.Status.AcceptedNames.Kind},
		Resource:   crd.Status.AcceptedNames.Plural,
		Namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
	}, nil
}

// listed is the version in which objects are read with the least work: the one
// that they are stored in, if it is served.
func listed(crd *apiextensionsv1.CustomResourceDefinition) string {
	established := false
	for _, c := range crd.Status.Conditions {
		established = established || c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	}
	if !established {
		return ""
	}
	first := ""
	for _, v := range crd.Spec.Versions {
		switch {
		case v.Served && v.Storage:
			return v.Name
		case v.Served && first == "":
			first = v.Name
		}
	}
	return first
}
