package cri

import (
	"berth.dev/berth/internal/plan/podspec"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// SandboxOptions are what a sandbox request needs beside the pod.
type SandboxOptions struct {
	Attempt       uint32
	LogDirectory  string
	CgroupParent  string
	Resolver      podspec.Resolver
	ClusterDomain string
	// Users are the pod's own, nil for the node's.
	Users *runtimeapi.UserNamespace
	// Seccomp is the file of the sandbox's own profile, empty for the runtime's.
	Seccomp string
}

// SandboxConfig is the request for a pod's sandbox.
func SandboxConfig(pod *corev1.Pod, o SandboxOptions) (*runtimeapi.PodSandboxConfig, error) {
	config := &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{
			Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: o.Attempt,
		},
		LogDirectory: o.LogDirectory,
		Labels:       sandboxLabels(pod),
		Annotations:  sandboxAnnotations(pod),
		DnsConfig: &runtimeapi.DNSConfig{
			Servers: o.Resolver.Servers, Searches: o.Resolver.Searches, Options: o.Resolver.Options,
		},
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent:    o.CgroupParent,
			SecurityContext: sandboxSecurity(pod, o.Seccomp),
			Resources:       linuxResources(podspec.PodResources(pod)),
		},
	}
	config.Linux.SecurityContext.NamespaceOptions.UsernsOptions = o.Users
	if !pod.Spec.HostNetwork {
		name, err := podspec.KernelHostname(pod, o.ClusterDomain)
		if err != nil {
			return nil, err
		}
		config.Hostname = name
		config.PortMappings = portMappings(pod)
	}
	if sc := pod.Spec.SecurityContext; sc != nil && len(sc.Sysctls) > 0 {
		config.Linux.Sysctls = map[string]string{}
		for _, s := range sc.Sysctls {
			config.Linux.Sysctls[s.Name] = s.Value
		}
	}
	return config, nil
}

func portMappings(pod *corev1.Pod) []*runtimeapi.PortMapping {
	var out []*runtimeapi.PortMapping
	add := func(containers []corev1.Container) {
		for i := range containers {
			for _, p := range containers[i].Ports {
				out = append(out, &runtimeapi.PortMapping{
					Protocol: protocol(p.Protocol), ContainerPort: p.ContainerPort, HostPort: p.HostPort, HostIp: p.HostIP,
				})
			}
		}
	}
	add(pod.Spec.InitContainers)
	add(pod.Spec.Containers)
	return out
}

func protocol(p corev1.Protocol) runtimeapi.Protocol {
	switch p {
	case corev1.ProtocolUDP:
		return runtimeapi.Protocol_UDP
	case corev1.ProtocolSCTP:
		return runtimeapi.Protocol_SCTP
	default:
		return runtimeapi.Protocol_TCP
	}
}

// Resources are a container's limits as the runtime takes them.
func Resources(r podspec.Resources) *runtimeapi.LinuxContainerResources { return linuxResources(r) }

func linuxResources(r podspec.Resources) *runtimeapi.LinuxContainerResources {
	return &runtimeapi.LinuxContainerResources{
		CpuShares: r.CPUShares, CpuQuota: r.CPUQuota, CpuPeriod: r.CPUPeriod, MemoryLimitInBytes: r.Memory,
	}
}

func sandboxSecurity(pod *corev1.Pod, profile string) *runtimeapi.LinuxSandboxSecurityContext {
	s := &runtimeapi.LinuxSandboxSecurityContext{
		Privileged:       anyPrivileged(pod),
		NamespaceOptions: namespaces(pod),
		Seccomp:          &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault},
	}
	if profile != "" {
		s.Seccomp = &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: profile}
	}
	sc := pod.Spec.SecurityContext
	if sc == nil {
		return s
	}
	if sc.RunAsUser != nil {
		s.RunAsUser = &runtimeapi.Int64Value{Value: *sc.RunAsUser}
	}
	if sc.RunAsGroup != nil {
		s.RunAsGroup = &runtimeapi.Int64Value{Value: *sc.RunAsGroup}
	}
	s.SupplementalGroups = supplementalGroups(pod)
	s.SupplementalGroupsPolicy = groupsPolicy(sc)
	return s
}

func anyPrivileged(pod *corev1.Pod) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if sc := list[i].SecurityContext; sc != nil && sc.Privileged != nil && *sc.Privileged {
				return true
			}
		}
	}
	return false
}

func namespaces(pod *corev1.Pod) *runtimeapi.NamespaceOption {
	ns := &runtimeapi.NamespaceOption{
		Network: runtimeapi.NamespaceMode_POD, Ipc: runtimeapi.NamespaceMode_POD, Pid: runtimeapi.NamespaceMode_CONTAINER,
	}
	if pod.Spec.HostNetwork {
		ns.Network = runtimeapi.NamespaceMode_NODE
	}
	if pod.Spec.HostIPC {
		ns.Ipc = runtimeapi.NamespaceMode_NODE
	}
	switch {
	case pod.Spec.HostPID:
		ns.Pid = runtimeapi.NamespaceMode_NODE
	case pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace:
		ns.Pid = runtimeapi.NamespaceMode_POD
	}
	return ns
}
