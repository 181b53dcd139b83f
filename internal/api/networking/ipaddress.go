package networking

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func ipAddressKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      networkingv1.SchemeGroupVersion.WithKind("IPAddress"),
		Resource:                 "ipaddresses",
		Singular:                 "ipaddress",
		ShortNames:               []string{"ip"},
		PlainNames:               true,
		New:                      func() runtime.Object { return &networkingv1.IPAddress{} },
		NewList:                  func() runtime.Object { return &networkingv1.IPAddressList{} },
		AllowUnconditionalUpdate: true,
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("ParentRef", "string", networkingv1.IPAddressSpec{}.SwaggerDoc()["parentRef"]),
		},
	}, kind.Rules[*networkingv1.IPAddress]{
		Validate:       kind.Check(validateIPAddress),
		ValidateUpdate: kind.CheckUpdate(validateIPAddressUpdate),
		Row:            func(a *networkingv1.IPAddress) []any { return []any{a.Name, parent(a.Spec.ParentRef)} },
	})
}

// addressName wants an address as the API writes it.
func addressName(name string, _ bool) []string {
	var out []string
	for _, e := range utilvalidation.IsValidIP(&field.Path{}, name) {
		out = append(out, e.Detail)
	}
	return out
}

func validateIPAddress(a *networkingv1.IPAddress) field.ErrorList {
	var f validation.Findings
	f.Meta(&a.ObjectMeta, false, addressName)
	p, r := field.NewPath("spec", "parentRef"), a.Spec.ParentRef
	if r == nil {
		f.AddDeclared(field.Required(p, ""))
		return f.List()
	}
	if r.Group != "" {
		f.DNSSubdomain(p.Child("group"), r.Group)
	}
	if f.Declared(p.Child("resource"), r.Resource) {
		f.Messages(p.Child("resource"), r.Resource, content.IsPathSegmentName(r.Resource))
	}
	if f.Declared(p.Child("name"), r.Name) {
		f.Messages(p.Child("name"), r.Name, content.IsPathSegmentName(r.Name))
	}
	if r.Namespace != "" {
		f.Messages(p.Child("namespace"), r.Namespace, content.IsPathSegmentName(r.Namespace))
	}
	return f.List()
}

func validateIPAddressUpdate(a, old *networkingv1.IPAddress) field.ErrorList {
	var f validation.Findings
	f.Add(validateIPAddress(a)...)
	f.MetaUpdate(&a.ObjectMeta, &old.ObjectMeta)
	f.Fixed(field.NewPath("spec", "parentRef"), a.Spec.ParentRef, old.Spec.ParentRef)
	return f.List()
}

func parent(r *networkingv1.ParentReference) string {
	if r == nil {
		return columns.None
	}
	out := strings.ToLower(schema.GroupResource{Group: r.Group, Resource: r.Resource}.String())
	if r.Namespace != "" {
		out += "/" + r.Namespace
	}
	return out + "/" + r.Name
}
