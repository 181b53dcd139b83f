package networking

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func serviceCIDRKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"),
		Resource:                 "servicecidrs",
		Singular:                 "servicecidr",
		HasStatus:                true,
		StatusKeeps:              []string{"metadata"},
		New:                      func() runtime.Object { return &networkingv1.ServiceCIDR{} },
		NewList:                  func() runtime.Object { return &networkingv1.ServiceCIDRList{} },
		AllowUnconditionalUpdate: true,
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("CIDRs", "string", networkingv1.ServiceCIDRSpec{}.SwaggerDoc()["cidrs"]),
			columns.Age(),
		},
	}, kind.Rules[*networkingv1.ServiceCIDR]{
		Validate:       kind.Check(validateServiceCIDR),
		ValidateUpdate: kind.CheckUpdate(validateServiceCIDRUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(func(c, old *networkingv1.ServiceCIDR) field.ErrorList {
			var f validation.Findings
			f.MetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
			return f.List()
		}),
		CopySpec:   func(c, old *networkingv1.ServiceCIDR) { c.Spec = old.Spec },
		CopyStatus: func(c, old *networkingv1.ServiceCIDR) { c.Status = old.Status },
		Row: func(c *networkingv1.ServiceCIDR) []any {
			return []any{c.Name, strings.Join(c.Spec.CIDRs, ","), columns.Since(c.CreationTimestamp)}
		},
	})
}

var cidrsPath = field.NewPath("spec", "cidrs")

func validateServiceCIDR(c *networkingv1.ServiceCIDR) field.ErrorList {
	var f validation.Findings
	f.Meta(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	serviceCIDRs(&f, c.Spec.CIDRs)
	return f.List()
}

func serviceCIDRs(f *validation.Findings, cidrs []string) {
	switch {
	case len(cidrs) == 0:
		f.Required(cidrsPath, "at least one CIDR required")
		return
	case len(cidrs) > 2:
		f.Invalid(cidrsPath, struct{ CIDRs []string }{cidrs}, "may only hold up to 2 values")
		return
	}
	for i, c := range cidrs {
		f.Add(utilvalidation.IsValidCIDR(cidrsPath.Index(i), c)...)
	}
	if len(cidrs) < 2 {
		return
	}
	if family := netutils.IPFamilyOfCIDRString(cidrs[0]); family != netutils.IPFamilyUnknown && family == netutils.IPFamilyOfCIDRString(cidrs[1]) {
		f.Invalid(cidrsPath, cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64")
	}
}

// validateServiceCIDRUpdate lets a range become dual-stack and nothing else.
func validateServiceCIDRUpdate(c, old *networkingv1.ServiceCIDR) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	is, was := c.Spec.CIDRs, old.Spec.CIDRs
	same := func() {
		for i := range was {
			if is[i] != was[i] {
				f.Invalid(cidrsPath.Index(i), is[i], apivalidation.FieldImmutableErrorMsg)
			}
		}
	}
	switch {
	case len(is) == len(was):
		same()
	case len(was) == 1 && len(is) == 2:
		same()
		serviceCIDRs(&f, is)
	default:
		f.Invalid(cidrsPath, is, apivalidation.FieldImmutableErrorMsg)
	}
	return f.List()
}
