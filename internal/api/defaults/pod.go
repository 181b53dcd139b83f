package defaults

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// Pod fills a pod: what a template gets, and more that only real pods get.
func Pod(p *corev1.Pod) {
	requestsFromLimits(p.Spec.Containers)
	requestsFromLimits(p.Spec.InitContainers)
	podLevelHugePageLimits(p)
	podLevelRequests(p)
	if p.Spec.EnableServiceLinks == nil {
		p.Spec.EnableServiceLinks = new(corev1.DefaultEnableServiceLinks)
	}
	if p.Spec.HostNetwork {
		hostPorts(p.Spec.Containers)
		hostPorts(p.Spec.InitContainers)
	}
	if ip := p.Status.PodIP; ip != "" && (len(p.Status.PodIPs) == 0 || p.Status.PodIPs[0].IP != ip) {
		p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	if len(p.Status.PodIPs) > 0 {
		p.Status.PodIP = p.Status.PodIPs[0].IP
	}
	PodSpec(&p.Spec)
	if g := p.Spec.TerminationGracePeriodSeconds; *g < 0 {
		p.Spec.TerminationGracePeriodSeconds = new(int64(1))
	}
}

// PodTemplateSpec fills the template of a workload.
func PodTemplateSpec(t *corev1.PodTemplateSpec) { PodSpec(&t.Spec) }

// PodSpec fills what pods and templates have in common.
func PodSpec(s *corev1.PodSpec) {
	dropGated(s)
	if s.DNSPolicy == "" {
		s.DNSPolicy = corev1.DNSClusterFirst
	}
	if s.RestartPolicy == "" {
		s.RestartPolicy = corev1.RestartPolicyAlways
	}
	if s.SecurityContext == nil {
		s.SecurityContext = &corev1.PodSecurityContext{}
	}
	if s.TerminationGracePeriodSeconds == nil {
		s.TerminationGracePeriodSeconds = new(int64(corev1.DefaultTerminationGracePeriodSeconds))
	}
	if s.SchedulerName == "" {
		s.SchedulerName = corev1.DefaultSchedulerName
	}
	if s.ServiceAccountName == "" {
		s.ServiceAccountName = s.DeprecatedServiceAccount
	}
	s.DeprecatedServiceAccount = s.ServiceAccountName
	for i := range s.Volumes {
		volume(&s.Volumes[i])
	}
	for i := range s.InitContainers {
		container(&s.InitContainers[i])
	}
	for i := range s.Containers {
		container(&s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		container((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon))
	}
	resourceList(s.Overhead)
	if s.Resources != nil {
		requirements(s.Resources)
	}
}

func requestsFromLimits(containers []corev1.Container) {
	for i := range containers {
		r := &containers[i].Resources
		if r.Limits == nil {
			continue
		}
		if r.Requests == nil {
			r.Requests = make(corev1.ResourceList, len(r.Limits))
		}
		fillFrom(r.Requests, r.Limits, func(corev1.ResourceName) bool { return true })
	}
}

// podLevelHugePageLimits lifts the huge page limits of the containers to a pod
// that says something about its resources but nothing about that size.
func podLevelHugePageLimits(p *corev1.Pod) {
	r := p.Spec.Resources
	if r == nil || len(r.Limits) == 0 && len(r.Requests) == 0 {
		return
	}
	limits := r.Limits
	if limits == nil {
		limits = corev1.ResourceList{}
	}
	sum := resource.AggregateContainerLimits(p, resource.PodResourcesOptions{})
	fillFrom(limits, sum, func(n corev1.ResourceName) bool {
		_, requested := r.Requests[n]
		return !requested && isHugePage(n) && resource.IsSupportedPodLevelResource(n)
	})
	if len(limits) > 0 {
		r.Limits = limits
	}
}

// podLevelRequests takes the requests of a pod with limits from its containers,
// and where those say nothing from the limits.
func podLevelRequests(p *corev1.Pod) {
	r := p.Spec.Resources
	if r == nil || len(r.Limits) == 0 {
		return
	}
	requests := r.Requests
	if requests == nil {
		requests = corev1.ResourceList{}
	}
	sum := resource.AggregateContainerRequests(p, resource.PodResourcesOptions{})
	fillFrom(requests, sum, func(n corev1.ResourceName) bool {
		return !isHugePage(n) && resource.IsSupportedPodLevelResource(n)
	})
	fillFrom(requests, r.Limits, resource.IsSupportedPodLevelResource)
	if len(requests) > 0 {
		r.Requests = requests
	}
}

func hostPorts(containers []corev1.Container) {
	for i := range containers {
		for j := range containers[i].Ports {
			if p := &containers[i].Ports[j]; p.HostPort == 0 {
				p.HostPort = p.ContainerPort
			}
		}
	}
}
