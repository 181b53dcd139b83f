package validation

import (
	"fmt"
	"math"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podresource "k8s.io/component-helpers/resource"
)

// podCheck checks one pod or pod template. It keeps what several checks of the
// same pod need.
type podCheck struct {
	findings
	isPod   bool   // a pod, not a template
	podName string // empty in a template
	// restartsOnResize: an init container of the old pod is to be restarted
	// when it is resized, which new ones may not ask for.
	restartsOnResize bool
	// devicesOfOwnUsers: the old pod has users of its own and block devices,
	// which new ones may not have.
	devicesOfOwnUsers bool

	volumes   map[string]*corev1.Volume // the sound ones, by name
	claims    names                     // device claims
	grace     *int64
	restart   corev1.RestartPolicy
	os        *corev1.PodOS
	hostUsers bool
}

func (c *podCheck) spec(p *field.Path, s *corev1.PodSpec) {
	c.grace, c.restart, c.os = s.TerminationGracePeriodSeconds, s.RestartPolicy, s.OS
	c.hostUsers = s.HostUsers == nil || *s.HostUsers
	for i := range s.ResourceClaims {
		if c.claims == nil {
			c.claims = names{}
		}
		if s.ResourceClaims[i].Name != "" {
			c.claims.use(s.ResourceClaims[i].Name)
		}
	}
	if s.TerminationGracePeriodSeconds == nil {
		c.required(p.Child("terminationGracePeriodSeconds"), "")
	}
	c.volumeList(p.Child("volumes"), s.Volumes)
	c.resourceClaims(p.Child("resourceClaims"), s.ResourceClaims)
	c.containers(p.Child("containers"), s.Containers)
	c.initContainers(p.Child("initContainers"), s.InitContainers, s.Containers)
	c.ephemeralContainers(p.Child("ephemeralContainers"), s)
	c.podResources(p.Child("resources"), s)
	if s.HostNetwork {
		c.hostNetworkPorts(p.Child("containers"), s.Containers, c.isPod)
	}
	setAndAmong(&c.findings, p.Child("restartPolicy"), s.RestartPolicy,
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	setAndAmong(&c.findings, p.Child("dnsPolicy"), s.DNSPolicy,
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)
	c.add(metavalidation.ValidateLabels(s.NodeSelector, p.Child("nodeSelector"))...)
	c.podSecurityContext(p.Child("securityContext"), s)
	c.affinity(p.Child("affinity"), s.Affinity)
	c.dnsConfig(p.Child("dnsConfig"), s)
	for i := range s.ReadinessGates {
		c.qualifiedName(p.Child("readinessGates").Index(i).Child("conditionType"), string(s.ReadinessGates[i].ConditionType))
	}
	c.schedulingGates(p.Child("schedulingGates"), s.SchedulingGates)
	c.topologySpread(p.Child("topologySpreadConstraints"), s.TopologySpreadConstraints)
	c.hostProcess(p, s)
	c.ownUsers(p, s)
	c.identity(p, s)
	c.tolerations(p.Child("tolerations"), s.Tolerations)
	c.hostAliases(p.Child("hostAliases"), s.HostAliases)
	c.class(p, s)
	c.operatingSystem(p, s)
	c.variableFiles(p, s)
}

// identity checks the names that a pod has or belongs to.
func (c *podCheck) identity(p *field.Path, s *corev1.PodSpec) {
	if n := s.HostnameOverride; n != nil {
		c.hostnameOverride(p, s, *n)
	}
	if n := s.ServiceAccountName; n != "" {
		c.messages(p.Child("serviceAccountName"), n, apivalidation.ValidateServiceAccountName(n, false))
	}
	if n := s.NodeName; n != "" {
		c.messages(p.Child("nodeName"), n, apivalidation.NameIsDNSSubdomain(n, false))
	}
	if v := s.ActiveDeadlineSeconds; v != nil && (*v < 1 || *v > math.MaxInt32) {
		c.invalid(p.Child("activeDeadlineSeconds"), *v, validation.InclusiveRangeError(1, math.MaxInt32))
	}
	if s.Hostname != "" {
		c.dnsLabel(p.Child("hostname"), s.Hostname)
	}
	if s.Subdomain != "" {
		c.dnsLabel(p.Child("subdomain"), s.Subdomain)
	}
}

// longestHostname is the kernel's limit.
const longestHostname = 64

func (c *podCheck) hostnameOverride(p *field.Path, s *corev1.PodSpec, name string) {
	at := p.Child("hostnameOverride")
	if len(name) > longestHostname {
		c.add(field.TooLong(at, name, longestHostname))
	}
	if s.HostNetwork {
		c.forbidden(at, "may not be specified when hostNetwork is true")
	}
	if s.SetHostnameAsFQDN != nil && *s.SetHostnameAsFQDN {
		c.forbidden(at, "may not be specified when setHostnameAsFQDN is true")
	}
	c.dnsSubdomain(at, name)
}

// class checks what a pod takes over from the classes it names.
func (c *podCheck) class(p *field.Path, s *corev1.PodSpec) {
	if n := s.PriorityClassName; n != "" {
		c.messages(p.Child("priorityClassName"), n, apivalidation.NameIsDNSSubdomain(n, false))
	}
	if n := s.RuntimeClassName; n != nil {
		c.messages(p.Child("runtimeClassName"), *n, apivalidation.NameIsDNSSubdomain(*n, false))
	}
	if v := s.PreemptionPolicy; v != nil {
		setAndAmong(&c.findings, p.Child("preemptionPolicy"), *v, corev1.PreemptLowerPriority, corev1.PreemptNever)
	}
	if s.Overhead != nil {
		c.requirements(p.Child("overhead"), &corev1.ResourceRequirements{Limits: s.Overhead}, c.containerResourceName)
	}
}

// ownUsers checks that a pod with users of its own shares nothing that would
// make them meaningless.
func (c *podCheck) ownUsers(p *field.Path, s *corev1.PodSpec) {
	if c.hostUsers {
		return
	}
	const refused = "when `hostUsers` is false"
	if s.HostNetwork {
		c.forbidden(p.Child("hostNetwork"), refused)
	}
	if s.HostPID {
		c.forbidden(p.Child("HostPID"), refused)
	}
	if s.HostIPC {
		c.forbidden(p.Child("HostIPC"), refused)
	}
	eachContainer(s, p, func(ctr *corev1.Container, p *field.Path) {
		if len(ctr.VolumeDevices) > 0 && !c.devicesOfOwnUsers {
			c.forbidden(p.Child("volumeDevices"), refused)
		}
	})
}

func (c *podCheck) schedulingGates(p *field.Path, gates []corev1.PodSchedulingGate) {
	used := names{}
	for i := range gates {
		c.qualifiedName(p.Index(i), gates[i].Name)
		if !used.use(gates[i].Name) {
			c.add(field.Duplicate(p.Index(i), gates[i].Name))
		}
	}
}

func (c *podCheck) hostAliases(p *field.Path, aliases []corev1.HostAlias) {
	for i := range aliases {
		c.add(validation.IsValidIP(p.Index(i).Child("ip"), aliases[i].IP)...)
		for j, n := range aliases[i].Hostnames {
			c.dnsSubdomain(p.Index(i).Child("hostnames").Index(j), n)
		}
	}
}

// podResources checks what the pod as a whole wants against its containers.
func (c *podCheck) podResources(p *field.Path, s *corev1.PodSpec) {
	r := s.Resources
	if r == nil {
		return
	}
	if r.Claims != nil {
		c.forbidden(p.Child("claims"), "claims may not be set for Resources at pod-level")
	}
	c.requirements(p, r, c.podResourceName)
	c.claimRefs(p.Child("claims"), r.Claims)
	sum := podresource.AggregateContainerRequests(&corev1.Pod{Spec: *s}, podresource.PodResourcesOptions{})
	for _, name := range sortedNames(sum) {
		want, have := sum[name], r.Requests[name]
		if podresource.IsSupportedPodLevelResource(name) && want.Cmp(have) > 0 {
			c.invalid(p.Child("requests").Key(string(name)), have.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", want.String()))
		}
	}
	for i := range s.Containers {
		limits := s.Containers[i].Resources.Limits
		for _, name := range sortedNames(limits) {
			limit := limits[name]
			if whole, ok := r.Limits[name]; ok && limit.Cmp(whole) > 0 {
				c.invalid(p.Child("containers").Index(i).Key(string(name)).Child("limits"), limit.String(),
					fmt.Sprintf("must be less than or equal to pod limits of %s", whole.String()))
			}
		}
	}
}
