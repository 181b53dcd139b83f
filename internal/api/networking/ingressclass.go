package networking

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

const longestController = 250

func ingressClassKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      networkingv1.SchemeGroupVersion.WithKind("IngressClass"),
		Resource:                 "ingressclasses",
		Singular:                 "ingressclass",
		HasGeneration:            true,
		New:                      func() runtime.Object { return &networkingv1.IngressClass{} },
		NewList:                  func() runtime.Object { return &networkingv1.IngressClassList{} },
		AllowUnconditionalUpdate: true,
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("Controller", "string", "Controller that is responsible for handling this class"),
			columns.Column("Parameters", "string", "A reference to a resource with additional parameters"),
			columns.Age(),
		},
	}, kind.Rules[*networkingv1.IngressClass]{
		Default:        defaultIngressClass,
		Validate:       kind.Check(validateIngressClass),
		ValidateUpdate: kind.CheckUpdate(validateIngressClassUpdate),
		CopySpec:       func(c, old *networkingv1.IngressClass) { c.Spec = old.Spec },
		Row:            ingressClassRow,
	})
}

func defaultIngressClass(c *networkingv1.IngressClass) {
	if p := c.Spec.Parameters; p != nil && p.Scope == nil {
		p.Scope = new(networkingv1.IngressClassParametersReferenceScopeCluster)
	}
}

func validateIngressClass(c *networkingv1.IngressClass) field.ErrorList {
	var f validation.Findings
	f.Meta(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	p := field.NewPath("spec", "controller")
	if len(c.Spec.Controller) > longestController {
		f.Add(field.TooLong(p, "", longestController))
	}
	f.Add(utilvalidation.IsDomainPrefixedPath(p, c.Spec.Controller)...)
	if r := c.Spec.Parameters; r != nil {
		classParameters(&f, field.NewPath("spec", "parameters"), r)
	}
	return f.List()
}

func classParameters(f *validation.Findings, p *field.Path, r *networkingv1.IngressClassParametersReference) {
	if r.APIGroup != nil {
		f.DNSSubdomain(p.Child("apiGroup"), *r.APIGroup)
	}
	if f.Declared(p.Child("kind"), r.Kind) {
		f.Messages(p.Child("kind"), r.Kind, content.IsPathSegmentName(r.Kind))
	}
	if f.Declared(p.Child("name"), r.Name) {
		f.Messages(p.Child("name"), r.Name, content.IsPathSegmentName(r.Name))
	}
	if r.Scope == nil {
		f.Required(p.Child("scope"), "")
		return
	}
	ns := p.Child("namespace")
	switch *r.Scope {
	case networkingv1.IngressClassParametersReferenceScopeNamespace:
		if r.Namespace == nil {
			f.Required(ns, "`parameters.scope` is set to 'Namespace'")
		} else {
			f.Messages(ns, *r.Namespace, apivalidation.ValidateNamespaceName(*r.Namespace, false))
		}
	case networkingv1.IngressClassParametersReferenceScopeCluster:
		if r.Namespace != nil {
			f.Forbidden(ns, "`parameters.scope` is set to 'Cluster'")
		}
	default:
		f.Add(field.NotSupported(p.Child("scope"), *r.Scope,
			[]string{networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace}))
	}
}

func validateIngressClassUpdate(c, old *networkingv1.IngressClass) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.Immutable(field.NewPath("spec", "controller"), c.Spec.Controller, old.Spec.Controller)
	f.Add(validateIngressClass(c)...)
	return f.List()
}

func ingressClassRow(c *networkingv1.IngressClass) []any {
	name, parameters := c.Name, columns.None
	if c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
		name += " (default)"
	}
	if r := c.Spec.Parameters; r != nil {
		parameters = r.Kind
		if r.APIGroup != nil {
			parameters += "." + *r.APIGroup
		}
		parameters += "/" + r.Name
	}
	return []any{name, c.Spec.Controller, parameters, columns.Since(c.CreationTimestamp)}
}
