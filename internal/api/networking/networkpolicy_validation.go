package networking

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"berth.dev/berth/internal/api/validation"
)

// policyCheck knows what was stored already and so may stay as it is.
type policyCheck struct {
	validation.Findings
	selectors metavalidation.LabelSelectorValidationOptions
	cidrs     []string
}

func validateNetworkPolicy(n *networkingv1.NetworkPolicy) field.ErrorList {
	var c policyCheck
	c.Meta(&n.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	c.spec(&n.Spec)
	return c.List()
}

func validateNetworkPolicyUpdate(n, old *networkingv1.NetworkPolicy) field.ErrorList {
	var c policyCheck
	c.selectors.AllowInvalidLabelValueInSelector = len(metavalidation.ValidateLabelSelector(&old.Spec.PodSelector, c.selectors, nil)) > 0
	eachPeer(&old.Spec, func(_ *field.Path, peer *networkingv1.NetworkPolicyPeer) {
		if b := peer.IPBlock; b != nil {
			c.cidrs = append(append(c.cidrs, b.CIDR), b.Except...)
		}
	})
	c.MetaUpdate(&n.ObjectMeta, &old.ObjectMeta)
	c.spec(&n.Spec)
	return c.List()
}

func (c *policyCheck) spec(s *networkingv1.NetworkPolicySpec) {
	p := field.NewPath("spec")
	c.labels(p.Child("podSelector"), &s.PodSelector)
	for i := range s.Ingress {
		c.rule(p.Child("ingress").Index(i), s.Ingress[i].Ports, "from", s.Ingress[i].From)
	}
	for i := range s.Egress {
		c.rule(p.Child("egress").Index(i), s.Egress[i].Ports, "to", s.Egress[i].To)
	}
	if len(s.PolicyTypes) > 2 {
		c.Invalid(p.Child("policyTypes"), &s.PolicyTypes, "may not specify more than two policyTypes")
		return
	}
	for i, t := range s.PolicyTypes {
		validation.Among(&c.Findings, p.Child("policyTypes").Index(i), t, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)
	}
}

func (c *policyCheck) rule(p *field.Path, ports []networkingv1.NetworkPolicyPort, peersName string, peers []networkingv1.NetworkPolicyPeer) {
	for i := range ports {
		c.port(p.Child("ports").Index(i), &ports[i])
	}
	for i := range peers {
		c.peer(p.Child(peersName).Index(i), &peers[i])
	}
}

func (c *policyCheck) labels(p *field.Path, s *metav1.LabelSelector) {
	c.Add(metavalidation.ValidateLabelSelector(s, c.selectors, p)...)
}

func (c *policyCheck) port(p *field.Path, port *networkingv1.NetworkPolicyPort) {
	if protocol := port.Protocol; protocol != nil {
		validation.Among(&c.Findings, p.Child("protocol"), *protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
	}
	end := p.Child("endPort")
	switch {
	case port.Port == nil:
		if port.EndPort != nil {
			c.Invalid(end, *port.EndPort, "may not be specified when `port` is not specified")
		}
	case port.Port.Type == intstr.Int:
		c.Messages(p.Child("port"), port.Port.IntVal, utilvalidation.IsValidPortNum(int(port.Port.IntVal)))
		if port.EndPort == nil {
			return
		}
		if *port.EndPort < port.Port.IntVal {
			c.Invalid(end, port.Port.IntVal, "must be greater than or equal to `port`")
		}
		c.Messages(end, *port.EndPort, utilvalidation.IsValidPortNum(int(*port.EndPort)))
	default:
		if port.EndPort != nil {
			c.Invalid(end, *port.EndPort, "may not be specified when `port` is non-numeric")
		}
		c.Messages(p.Child("port"), port.Port.StrVal, utilvalidation.IsValidPortName(port.Port.StrVal))
	}
}

func (c *policyCheck) peer(p *field.Path, peer *networkingv1.NetworkPolicyPeer) {
	given := 0
	if s := peer.PodSelector; s != nil {
		given++
		c.labels(p.Child("podSelector"), s)
	}
	if s := peer.NamespaceSelector; s != nil {
		given++
		c.labels(p.Child("namespaceSelector"), s)
	}
	if b := peer.IPBlock; b != nil {
		given++
		c.block(p.Child("ipBlock"), b)
	}
	if given == 0 {
		c.Required(p, "must specify a peer")
	} else if given > 1 && peer.IPBlock != nil {
		c.Forbidden(p, "may not specify both ipBlock and another peer")
	}
}

func (c *policyCheck) block(p *field.Path, b *networkingv1.IPBlock) {
	if !c.Declared(p.Child("cidr"), b.CIDR) {
		return
	}
	c.Add(utilvalidation.IsValidCIDRForLegacyField(p.Child("cidr"), b.CIDR, true, c.cidrs)...)
	_, all, err := netutils.ParseCIDRSloppy(b.CIDR)
	if err != nil {
		return
	}
	size, _ := all.Mask.Size()
	for i, e := range b.Except {
		p := p.Child("except").Index(i)
		c.Add(utilvalidation.IsValidCIDRForLegacyField(p, e, true, c.cidrs)...)
		_, part, err := netutils.ParseCIDRSloppy(e)
		if err != nil {
			continue
		}
		if partSize, _ := part.Mask.Size(); !all.Contains(part.IP) || size >= partSize {
			c.Invalid(p, e, "must be a strict subset of `cidr`")
		}
	}
}
