package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// PodStatusUpdate checks a change of a pod's status.
func PodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	c := podCheck{isPod: true, podName: pod.Name}
	c.metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	c.fixedAnnotations(pod, old)
	c.podAnnotations(metaPath.Child("annotations"), &pod.ObjectMeta, &pod.Spec)
	c.conditions(&pod.Status)
	s, was := &pod.Status, &old.Status
	if pod.Spec.NodeName != old.Spec.NodeName {
		c.forbidden(statusPath.Child("nodeName"), "may not be changed directly")
	}
	if n := s.NominatedNodeName; n != "" && n != was.NominatedNodeName {
		c.messages(statusPath.Child("nominatedNodeName"), n, apivalidation.NameIsDNSSubdomain(n, false))
	}
	c.immutable(statusPath.Child("qosClass"), s.QOSClass, was.QOSClass)
	c.stayTerminated(statusPath.Child("containerStatuses"), s.ContainerStatuses, was.ContainerStatuses, &old.Spec, old.Spec.Containers)
	c.stayTerminated(statusPath.Child("initContainerStatuses"), s.InitContainerStatuses, was.InitContainerStatuses, &old.Spec, old.Spec.InitContainers)
	once := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever}
	c.stayTerminated(statusPath.Child("ephemeralContainerStatuses"), s.EphemeralContainerStatuses, was.EphemeralContainerStatuses, &once, nil)
	c.claimStatuses(statusPath.Child("resourceClaimStatuses"), s.ResourceClaimStatuses, pod.Spec.ResourceClaims)
	c.podIPs(s)
	c.hostIPs(s)
	return c.list
}

// conditions checks the names of the conditions that users bring.
func (c *podCheck) conditions(s *corev1.PodStatus) {
	for i := range s.Conditions {
		switch t := s.Conditions[i].Type; t {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default:
			c.qualifiedName(metaPath.Child("conditions").Index(i).Child("Type"), string(t))
		}
	}
}

// mayRestartAll is true for a pod of which one container may restart all.
func mayRestartAll(spec *corev1.PodSpec) bool {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			for _, r := range list[i].RestartPolicyRules {
				if r.Action == corev1.ContainerRestartRuleActionRestartAllContainers {
					return true
				}
			}
		}
	}
	return false
}

// stayTerminated refuses that a container that is not to be restarted lives again.
func (c *podCheck) stayTerminated(p *field.Path, list, old []corev1.ContainerStatus, spec *corev1.PodSpec, containers []corev1.Container) {
	if spec.RestartPolicy == corev1.RestartPolicyAlways || mayRestartAll(spec) {
		return
	}
	for i := range old {
		t := old[i].State.Terminated
		if t == nil || t.ExitCode != 0 && spec.RestartPolicy == corev1.RestartPolicyOnFailure || restartsByItself(old[i].Name, containers) {
			continue
		}
		for j := range list {
			if list[j].Name == old[i].Name && list[j].State.Terminated == nil {
				c.forbidden(p.Index(i).Child("state"), "may not be transitioned to non-terminated state")
			}
		}
	}
}

func restartsByItself(name string, containers []corev1.Container) bool {
	for i := range containers {
		ctr := &containers[i]
		if ctr.Name == name {
			return len(ctr.RestartPolicyRules) > 0 || ctr.RestartPolicy != nil && *ctr.RestartPolicy != corev1.ContainerRestartPolicyNever
		}
	}
	return false
}

func (c *podCheck) claimStatuses(p *field.Path, statuses []corev1.PodResourceClaimStatus, claims []corev1.PodResourceClaim) {
	known, used := names{}, names{}
	for i := range claims {
		known.use(claims[i].Name)
	}
	for i := range statuses {
		s, p := &statuses[i], p.Index(i).Child("name")
		if !known.has(s.Name) {
			c.invalid(p, s.Name, "must match the name of an entry in `spec.resourceClaims`")
		}
		if !used.use(s.Name) {
			c.add(field.Duplicate(p, s.Name))
		}
		if n := s.ResourceClaimName; n != nil {
			c.messages(p, n, apivalidation.NameIsDNSSubdomain(*n, false))
		}
	}
}

func (c *podCheck) podIPs(s *corev1.PodStatus) {
	ips := make([]string, len(s.PodIPs))
	for i := range s.PodIPs {
		ips[i] = s.PodIPs[i].IP
	}
	c.addresses(statusPath.Child("podIPs"), ips, s.PodIPs, func(i int) any { return s.PodIPs[i] })
}

func (c *podCheck) hostIPs(s *corev1.PodStatus) {
	if len(s.HostIPs) == 0 {
		return
	}
	p := statusPath.Child("hostIPs")
	if s.HostIP != s.HostIPs[0].IP {
		c.invalid(p.Index(0).Child("ip"), s.HostIPs[0].IP, "must be equal to `hostIP`")
	}
	ips := make([]string, len(s.HostIPs))
	for i := range s.HostIPs {
		ips[i] = s.HostIPs[i].IP
	}
	c.addresses(p, ips, s.HostIPs, func(i int) any { return s.HostIPs[i] })
}

// addresses allows one address of each family.
func (c *podCheck) addresses(p *field.Path, ips []string, whole any, element func(int) any) {
	for i, ip := range ips {
		c.add(validation.IsValidIP(p.Index(i), ip)...)
	}
	if len(ips) < 2 {
		return
	}
	dual, err := netutils.IsDualStackIPStrings(ips)
	if err != nil {
		c.add(field.InternalError(p, fmt.Errorf("failed to check for dual stack with error:%w", err)))
	}
	if !dual || len(ips) > 2 {
		c.invalid(p, whole, "may specify no more than one IP for each IP family")
	}
	used := names{}
	for i, ip := range ips {
		if !used.use(ip) {
			c.add(field.Duplicate(p.Index(i), element(i)))
		}
	}
}
