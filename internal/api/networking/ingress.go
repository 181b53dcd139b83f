package networking

import (
	"context"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

// classAnnotation named an ingress's class before there was a field for it.
const classAnnotation = "kubernetes.io/ingress.class"

func ingressKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      networkingv1.SchemeGroupVersion.WithKind("Ingress"),
		Resource:                 "ingresses",
		Singular:                 "ingress",
		ShortNames:               []string{"ing"},
		Namespaced:               true,
		HasStatus:                true,
		HasGeneration:            true,
		New:                      func() runtime.Object { return &networkingv1.Ingress{} },
		NewList:                  func() runtime.Object { return &networkingv1.IngressList{} },
		AllowUnconditionalUpdate: true,
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("Class", "string", "The name of the IngressClass resource that should be used for additional configuration"),
			columns.Column("Hosts", "string", "Hosts that incoming requests are matched against before the ingress rule"),
			columns.Column("Address", "string", "Address is a list containing ingress points for the load-balancer"),
			columns.Column("Ports", "string", "Ports of TLS configurations that open"),
			columns.Age(),
		},
	}, kind.Rules[*networkingv1.Ingress]{
		Validate:             kind.Check(validateIngress),
		ValidateUpdate:       kind.CheckUpdate(validateIngressUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateIngressStatus),
		CopySpec:             func(i, old *networkingv1.Ingress) { i.Spec = old.Spec },
		CopyStatus:           func(i, old *networkingv1.Ingress) { i.Status = old.Status },
		Warnings:             warnOfClass,
		StatusWarnings:       warnOfAddresses,
		Row:                  ingressRow,
	})
}

func warnOfClass(_ context.Context, i, old *networkingv1.Ingress) []string {
	if _, set := i.Annotations[classAnnotation]; !set || i.Spec.IngressClassName != nil || old != nil {
		return nil
	}
	return []string{fmt.Sprintf("annotation %q is deprecated, please use 'spec.ingressClassName' instead", classAnnotation)}
}

func warnOfAddresses(_ context.Context, i, _ *networkingv1.Ingress) []string {
	var out []string
	for n, point := range i.Status.LoadBalancer.Ingress {
		if point.IP != "" {
			out = append(out, utilvalidation.GetWarningsForIP(field.NewPath("status", "loadBalancer", "ingress").Index(n), point.IP)...)
		}
	}
	return out
}

func ingressRow(i *networkingv1.Ingress) []any {
	ports := "80"
	if len(i.Spec.TLS) > 0 {
		ports = "80, 443"
	}
	return []any{
		i.Name, columns.Text(i.Spec.IngressClassName, columns.None), hosts(i.Spec.Rules),
		addresses(i.Status.LoadBalancer.Ingress), ports, columns.Since(i.CreationTimestamp),
	}
}

const mostHosts = 3

// hosts names the first few hosts. How many more there are counts rules without
// a host too, as upstream does.
func hosts(rules []networkingv1.IngressRule) string {
	var shown []string
	more := false
	for _, r := range rules {
		if len(shown) == mostHosts {
			more = true
			break
		}
		if r.Host != "" {
			shown = append(shown, r.Host)
		}
	}
	switch {
	case len(shown) == 0:
		return "*"
	case more:
		return fmt.Sprintf("%s + %d more...", strings.Join(shown, ","), len(rules)-mostHosts)
	}
	return strings.Join(shown, ",")
}

func addresses(points []networkingv1.IngressLoadBalancerIngress) string {
	var all []string
	for _, p := range points {
		if a := columns.Or(p.IP, p.Hostname); a != "" {
			all = append(all, a)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}
