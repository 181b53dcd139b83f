package networking

import (
	networkingv1 "k8s.io/api/networking/v1"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

func networkPolicyKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
		Resource:                 "networkpolicies",
		Singular:                 "networkpolicy",
		ShortNames:               []string{"netpol"},
		Namespaced:               true,
		HasGeneration:            true,
		New:                      func() runtime.Object { return &networkingv1.NetworkPolicy{} },
		NewList:                  func() runtime.Object { return &networkingv1.NetworkPolicyList{} },
		AllowUnconditionalUpdate: true,
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("Pod-Selector", "string", networkingv1.NetworkPolicySpec{}.SwaggerDoc()["podSelector"]),
			columns.Age(),
		},
	}, kind.Rules[*networkingv1.NetworkPolicy]{
		Default:        defaultNetworkPolicy,
		Validate:       kind.Check(validateNetworkPolicy),
		ValidateUpdate: kind.CheckUpdate(validateNetworkPolicyUpdate),
		CopySpec:       func(n, old *networkingv1.NetworkPolicy) { n.Spec = old.Spec },
		Warnings:       kind.Warnings(warnOfBlocks),
		Row: func(n *networkingv1.NetworkPolicy) []any {
			return []any{n.Name, metav1.FormatLabelSelector(&n.Spec.PodSelector), columns.Since(n.CreationTimestamp)}
		},
	})
}

func defaultNetworkPolicy(n *networkingv1.NetworkPolicy) {
	s := &n.Spec
	for i := range s.Ingress {
		defaultPorts(s.Ingress[i].Ports)
	}
	for i := range s.Egress {
		defaultPorts(s.Egress[i].Ports)
	}
	if len(s.PolicyTypes) > 0 {
		return
	}
	s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if len(s.Egress) > 0 {
		s.PolicyTypes = append(s.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
}

func defaultPorts(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		if ports[i].Protocol == nil {
			ports[i].Protocol = new(corev1.ProtocolTCP)
		}
	}
}

// eachPeer goes through all that a policy lets in or out.
func eachPeer(s *networkingv1.NetworkPolicySpec, f func(*field.Path, *networkingv1.NetworkPolicyPeer)) {
	spec := field.NewPath("spec")
	for i := range s.Ingress {
		for j := range s.Ingress[i].From {
			f(spec.Child("ingress").Index(i).Child("from").Index(j), &s.Ingress[i].From[j])
		}
	}
	for i := range s.Egress {
		for j := range s.Egress[i].To {
			f(spec.Child("egress").Index(i).Child("to").Index(j), &s.Egress[i].To[j])
		}
	}
}

func warnOfBlocks(n *networkingv1.NetworkPolicy) []string {
	var out []string
	eachPeer(&n.Spec, func(p *field.Path, peer *networkingv1.NetworkPolicyPeer) {
		if peer.IPBlock == nil {
			return
		}
		p = p.Child("ipBlock")
		out = append(out, utilvalidation.GetWarningsForCIDR(p.Child("cidr"), peer.IPBlock.CIDR)...)
		for i, c := range peer.IPBlock.Except {
			out = append(out, utilvalidation.GetWarningsForCIDR(p.Child("except").Index(i), c)...)
		}
	})
	return out
}
