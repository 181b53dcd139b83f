package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// Service checks a new service. Its addresses and node ports must have been
// allocated before, or be left out.
func Service(svc *corev1.Service) field.ErrorList {
	var f findings
	f.service(svc)
	return f.list
}

func (f *findings) service(svc *corev1.Service) {
	f.meta(&svc.ObjectMeta, true, apivalidation.NameIsDNS1035Label)
	if mode, ok := svc.Annotations[corev1.AnnotationTopologyMode]; ok {
		if hints, ok := svc.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]; ok && hints != mode {
			f.invalid(metaPath.Child("annotations").Key(corev1.AnnotationTopologyMode), mode,
				fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints))
		}
	}
	s := &svc.Spec
	headless := headless(svc)
	if len(s.Ports) == 0 && !headless && s.Type != corev1.ServiceTypeExternalName {
		f.required(specPath.Child("ports"), "")
	}
	if headless && (s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeNodePort) {
		f.invalid(specPath.Child("clusterIPs").Index(0), s.ClusterIPs[0], fmt.Sprintf("may not be set to 'None' for %s services", s.Type))
	}
	if s.Type == corev1.ServiceTypeExternalName {
		f.externalName(s)
	}
	f.servicePorts(specPath.Child("ports"), s)
	f.add(metavalidation.ValidateLabels(s.Selector, specPath.Child("selector"))...)
	f.sessionAffinity(s)
	f.clusterIPs(svc)
	for i, ip := range s.ExternalIPs {
		p := specPath.Child("externalIPs").Index(i)
		if errs := validation.IsValidIP(p, ip); len(errs) > 0 {
			f.add(errs...)
		} else {
			f.ordinaryIP(p, ip)
		}
	}
	setAndAmong(f, specPath.Child("type"), s.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName,
		corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)
	f.uniquePorts(specPath.Child("ports"), s)
	f.loadBalancer(svc)
	f.trafficPolicies(s)
}

func headless(svc *corev1.Service) bool {
	return len(svc.Spec.ClusterIPs) == 1 && svc.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

func (f *findings) externalName(s *corev1.ServiceSpec) {
	const refused = "may not be set for ExternalName services"
	if len(s.ClusterIPs) > 0 {
		f.forbidden(specPath.Child("clusterIPs"), refused)
	}
	if len(s.IPFamilies) > 0 {
		f.forbidden(specPath.Child("ipFamilies"), refused)
	}
	if s.IPFamilyPolicy != nil {
		f.forbidden(specPath.Child("ipFamilyPolicy"), refused)
	}
	if name := strings.TrimSuffix(s.ExternalName, "."); f.notEmpty(specPath.Child("externalName"), name) {
		f.dnsSubdomain(specPath.Child("externalName"), name)
	}
}

func (f *findings) servicePorts(p *field.Path, s *corev1.ServiceSpec) {
	used := names{}
	for i := range s.Ports {
		port, p := &s.Ports[i], p.Index(i)
		if port.Name != "" {
			f.dnsLabel(p.Child("name"), port.Name)
			if !used.use(port.Name) {
				f.add(field.Duplicate(p.Child("name"), port.Name))
			}
		} else if len(s.Ports) > 1 {
			f.required(p.Child("name"), "")
		}
		f.portNumber(p.Child("port"), port.Port)
		f.protocol(p.Child("protocol"), port.Protocol)
		f.portNumberOrName(p.Child("targetPort"), port.TargetPort)
		if port.AppProtocol != nil {
			f.qualifiedName(p.Child("appProtocol"), *port.AppProtocol)
		}
	}
}

// uniquePorts refuses two uses of one port, inside or on the nodes.
func (f *findings) uniquePorts(p *field.Path, s *corev1.ServiceSpec) {
	type key struct {
		protocol corev1.Protocol
		number   int32
	}
	inside, onNodes := map[key]bool{}, map[key]bool{}
	for i := range s.Ports {
		if port := &s.Ports[i]; port.NodePort != 0 && s.Type == corev1.ServiceTypeClusterIP {
			f.forbidden(p.Index(i).Child("nodePort"), "may not be used when `type` is 'ClusterIP'")
		}
	}
	for i := range s.Ports {
		if port := &s.Ports[i]; port.NodePort != 0 {
			k := key{port.Protocol, port.NodePort}
			if onNodes[k] {
				f.add(field.Duplicate(p.Index(i).Child("nodePort"), port.NodePort))
			}
			onNodes[k] = true
		}
	}
	for i := range s.Ports {
		port := &s.Ports[i]
		k := key{port.Protocol, port.Port}
		if inside[k] {
			f.add(field.Duplicate(p.Index(i), corev1.ServicePort{Protocol: port.Protocol, Port: port.Port}))
		}
		inside[k] = true
	}
}

func (f *findings) sessionAffinity(s *corev1.ServiceSpec) {
	setAndAmong(f, specPath.Child("sessionAffinity"), s.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	p := specPath.Child("sessionAffinityConfig")
	switch s.SessionAffinity {
	case corev1.ServiceAffinityNone:
		if s.SessionAffinityConfig != nil {
			f.forbidden(p, "must not be set when session affinity is None")
		}
	case corev1.ServiceAffinityClientIP:
		const when = "when session affinity type is ClientIP"
		switch c := s.SessionAffinityConfig; {
		case c == nil:
			f.required(p, when)
		case c.ClientIP == nil:
			f.required(p.Child("clientIP"), when)
		case c.ClientIP.TimeoutSeconds == nil:
			f.required(p.Child("clientIP", "timeoutSeconds"), when)
		case *c.ClientIP.TimeoutSeconds <= 0 || *c.ClientIP.TimeoutSeconds > longestAffinity:
			f.invalid(p.Child("clientIP", "timeoutSeconds"), c.ClientIP.TimeoutSeconds,
				fmt.Sprintf("must be greater than 0 and less than %d", longestAffinity))
		}
	}
}

// longestAffinity is a day in seconds.
const longestAffinity = 86400

// ordinaryIP refuses addresses that mean something else on each machine.
func (f *findings) ordinaryIP(p *field.Path, address string) {
	ip := netutils.ParseIPSloppy(address)
	if ip == nil {
		f.add(field.Invalid(p, address, "must be a valid IP address").WithOrigin("format=ip-sloppy"))
		return
	}
	special := func(detail string) {
		f.add(field.Invalid(p, address, detail).WithOrigin("format=non-special-ip"))
	}
	if ip.IsUnspecified() {
		special(fmt.Sprintf("may not be unspecified (%v)", address))
	}
	if ip.IsLoopback() {
		special("may not be in the loopback range (127.0.0.0/8, ::1/128)")
	}
	if ip.IsLinkLocalUnicast() {
		special("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
	}
	if ip.IsLinkLocalMulticast() {
		special("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
	}
}
