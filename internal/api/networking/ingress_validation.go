package networking

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"berth.dev/berth/internal/api/validation"
)

const notAnAddress = "must be a DNS name, not an IP address"

// tolerated is what an ingress may keep that was stored before it was refused.
type tolerated struct{ secretNames, wildcardRules bool }

type ingressCheck struct {
	validation.Findings
	tolerated
}

func validateIngress(i *networkingv1.Ingress) field.ErrorList {
	var c ingressCheck
	c.ingress(i)
	class, set := i.Annotations[classAnnotation]
	if name := i.Spec.IngressClassName; set && name != nil && class != *name {
		c.Invalid(field.NewPath("annotations").Child(classAnnotation), class, "must match `ingressClassName` when both are specified")
	}
	return c.List()
}

func validateIngressUpdate(i, old *networkingv1.Ingress) field.ErrorList {
	var c ingressCheck
	c.MetaUpdate(&i.ObjectMeta, &old.ObjectMeta)
	for _, t := range old.Spec.TLS {
		c.secretNames = c.secretNames || len(wrongSecretName(t.SecretName)) > 0
	}
	for n := range old.Spec.Rules {
		if r := &old.Spec.Rules[n]; strings.Contains(r.Host, "*") {
			var was ingressCheck
			was.http(nil, r.HTTP)
			c.wildcardRules = c.wildcardRules || len(was.List()) > 0
		}
	}
	c.ingress(i)
	return c.List()
}

func (c *ingressCheck) ingress(i *networkingv1.Ingress) {
	c.Meta(&i.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	s, p := &i.Spec, field.NewPath("spec")
	if len(s.Rules) == 0 && s.DefaultBackend == nil {
		c.Invalid(p, s.Rules, "either `defaultBackend` or `rules` must be specified")
	}
	if s.DefaultBackend != nil {
		c.backend(p.Child("defaultBackend"), s.DefaultBackend)
	}
	for n := range s.Rules {
		c.rule(p.Child("rules").Index(n), &s.Rules[n])
	}
	for n := range s.TLS {
		c.tls(p.Child("tls").Index(n), &s.TLS[n])
	}
	if name := s.IngressClassName; name != nil {
		c.DNSSubdomain(p.Child("ingressClassName"), *name)
	}
}

func wrongSecretName(name string) []string {
	if name == "" {
		return nil
	}
	return apivalidation.NameIsDNSSubdomain(name, false)
}

// host says whether the name begins with a wildcard.
func (c *ingressCheck) host(p *field.Path, host string) bool {
	if strings.Contains(host, "*") {
		c.Messages(p, host, utilvalidation.IsWildcardDNS1123Subdomain(host))
		return true
	}
	c.DNSSubdomain(p, host)
	return false
}

func (c *ingressCheck) tls(p *field.Path, t *networkingv1.IngressTLS) {
	for n, h := range t.Hosts {
		c.host(p.Child("hosts").Index(n), h)
	}
	if !c.secretNames {
		c.Messages(p.Child("secretName"), t.SecretName, wrongSecretName(t.SecretName))
	}
}

func (c *ingressCheck) rule(p *field.Path, r *networkingv1.IngressRule) {
	wild := false
	if r.Host != "" {
		if netutils.ParseIPSloppy(r.Host) != nil {
			c.Invalid(p.Child("host"), r.Host, notAnAddress)
		}
		wild = c.host(p.Child("host"), r.Host)
	}
	if !wild || !c.wildcardRules {
		c.http(p.Child("http"), r.HTTP)
	}
}

func (c *ingressCheck) http(p *field.Path, h *networkingv1.HTTPIngressRuleValue) {
	if h == nil {
		return
	}
	if len(h.Paths) == 0 {
		c.Required(p.Child("paths"), "")
	}
	for n := range h.Paths {
		c.path(p.Child("paths").Index(n), &h.Paths[n])
	}
}

func (c *ingressCheck) path(p *field.Path, h *networkingv1.HTTPIngressPath) {
	if h.PathType == nil {
		c.Required(p.Child("pathType"), "pathType must be specified")
		return
	}
	switch *h.PathType {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		c.absolute(p.Child("path"), h.Path)
		c.plain(p.Child("path"), h.Path)
	case networkingv1.PathTypeImplementationSpecific:
		if h.Path != "" {
			c.absolute(p.Child("path"), h.Path)
		}
	default:
		c.Add(field.NotSupported(p.Child("pathType"), *h.PathType,
			[]networkingv1.PathType{networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix}))
	}
	c.backend(p.Child("backend"), &h.Backend)
}

func (c *ingressCheck) absolute(p *field.Path, path string) {
	if !strings.HasPrefix(path, "/") {
		c.Invalid(p, path, "must be an absolute path")
	}
}

// plain refuses what a proxy might read as another path.
func (c *ingressCheck) plain(p *field.Path, path string) {
	for _, s := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		if strings.Contains(path, s) {
			c.Invalid(p, path, fmt.Sprintf("must not contain '%s'", s))
		}
	}
	for _, s := range []string{"/..", "/."} {
		if strings.HasSuffix(path, s) {
			c.Invalid(p, path, fmt.Sprintf("cannot end with '%s'", s))
		}
	}
}

func (c *ingressCheck) backend(p *field.Path, b *networkingv1.IngressBackend) {
	switch {
	case b.Resource != nil && b.Service != nil:
		c.Invalid(p, "", "cannot set both resource and service backends")
	case b.Resource != nil:
		c.reference(p.Child("resource"), b.Resource)
	case b.Service != nil:
		c.service(p, b.Service)
	default:
		c.Invalid(p, "", "resource or service backend is required")
	}
}

func (c *ingressCheck) service(p *field.Path, s *networkingv1.IngressServiceBackend) {
	if name := p.Child("service", "name"); c.NotEmpty(name, s.Name) {
		c.Messages(name, s.Name, apivalidation.NameIsDNSLabel(s.Name, false))
	}
	port := p.Child("service", "port")
	switch {
	case s.Port.Name != "" && s.Port.Number != 0:
		c.Invalid(p, "", "cannot set both port name & port number")
	case s.Port.Name != "":
		c.Messages(port.Child("name"), s.Port.Name, utilvalidation.IsValidPortName(s.Port.Name))
	case s.Port.Number != 0:
		c.Messages(port.Child("number"), s.Port.Number, utilvalidation.IsValidPortNum(int(s.Port.Number)))
	default:
		c.Required(p, "port name or number is required")
	}
}

func (c *ingressCheck) reference(p *field.Path, r *corev1.TypedLocalObjectReference) {
	if r.APIGroup != nil {
		c.DNSSubdomain(p.Child("apiGroup"), *r.APIGroup)
	}
	if c.NotEmpty(p.Child("kind"), r.Kind) {
		c.Messages(p.Child("kind"), r.Kind, content.IsPathSegmentName(r.Kind))
	}
	if c.NotEmpty(p.Child("name"), r.Name) {
		c.Messages(p.Child("name"), r.Name, content.IsPathSegmentName(r.Name))
	}
}

func validateIngressStatus(i, old *networkingv1.Ingress) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&i.ObjectMeta, &old.ObjectMeta)
	var stored []string
	for _, point := range old.Status.LoadBalancer.Ingress {
		if point.IP != "" {
			stored = append(stored, point.IP)
		}
	}
	for n, point := range i.Status.LoadBalancer.Ingress {
		p := field.NewPath("status", "loadBalancer", "ingress").Index(n)
		if point.IP != "" {
			f.Add(utilvalidation.IsValidIPForLegacyField(p.Child("ip"), point.IP, true, stored)...)
		}
		if point.Hostname != "" {
			f.DNSSubdomain(p.Child("hostname"), point.Hostname)
			if netutils.ParseIPSloppy(point.Hostname) != nil {
				f.Invalid(p.Child("hostname"), point.Hostname, notAnAddress)
			}
		}
	}
	return f.List()
}
