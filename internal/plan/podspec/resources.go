package podspec

import (
	corev1 "k8s.io/api/core/v1"
)

// Resources are a container's or pod's limits as the kernel takes them.
type Resources struct {
	CPUShares int64
	CPUQuota  int64 // microseconds per period; -1 for no limit
	CPUPeriod int64
	Memory    int64 // bytes; 0 for no limit
}

const (
	leastShares = 2
	mostShares  = 262144
	cpuPeriod   = 100_000
	leastQuota  = 1000
)

// ContainerResources are the settings of one container.
func ContainerResources(c *corev1.Container) Resources {
	cpu, ok := c.Resources.Requests[corev1.ResourceCPU]
	if !ok {
		cpu = c.Resources.Limits[corev1.ResourceCPU]
	}
	return Resources{
		CPUShares: shares(cpu.MilliValue()),
		CPUQuota:  quota(c.Resources.Limits.Cpu().MilliValue()),
		CPUPeriod: cpuPeriod,
		Memory:    c.Resources.Limits.Memory().Value(),
	}
}

// PodResources are the settings of the cgroup around a pod's containers.
// Limits apply only when every container has one.
func PodResources(pod *corev1.Pod) Resources {
	requests, limits := sum(pod)
	r := Resources{CPUShares: shares(requests.Cpu().MilliValue()), CPUQuota: -1, CPUPeriod: cpuPeriod}
	cpuLimited, memoryLimited := true, true
	for i := range pod.Spec.Containers {
		_, c := amount(pod.Spec.Containers[i].Resources.Limits, corev1.ResourceCPU)
		_, m := amount(pod.Spec.Containers[i].Resources.Limits, corev1.ResourceMemory)
		cpuLimited, memoryLimited = cpuLimited && c, memoryLimited && m
	}
	for i := range pod.Spec.InitContainers {
		_, c := amount(pod.Spec.InitContainers[i].Resources.Limits, corev1.ResourceCPU)
		_, m := amount(pod.Spec.InitContainers[i].Resources.Limits, corev1.ResourceMemory)
		cpuLimited, memoryLimited = cpuLimited && c, memoryLimited && m
	}
	if pod.Spec.Resources != nil {
		_, c := amount(pod.Spec.Resources.Limits, corev1.ResourceCPU)
		_, m := amount(pod.Spec.Resources.Limits, corev1.ResourceMemory)
		cpuLimited, memoryLimited = cpuLimited || c, memoryLimited || m
	}
	if cpuLimited {
		r.CPUQuota = quota(limits.Cpu().MilliValue())
	}
	if memoryLimited {
		r.Memory = limits.Memory().Value()
	}
	return r
}

func shares(milli int64) int64 {
	return min(max(milli*1024/1000, leastShares), mostShares)
}

func quota(milli int64) int64 {
	if milli == 0 {
		return -1
	}
	return max(milli*cpuPeriod/1000, leastQuota)
}

// OOMScore is upstream's oom_score_adj: -997 for Guaranteed and critical pods,
// 1000 for BestEffort, in between by the memory request.
func OOMScore(pod *corev1.Pod, c *corev1.Container, nodeMemory int64) int64 {
	const critical = 2_000_000_000
	if pod.Spec.Priority != nil && *pod.Spec.Priority >= critical {
		return -997
	}
	switch QOS(pod) {
	case corev1.PodQOSGuaranteed:
		return -997
	case corev1.PodQOSBestEffort:
		return 1000
	}
	if nodeMemory <= 0 {
		return 999
	}
	score := 1000 - 1000*c.Resources.Requests.Memory().Value()/nodeMemory
	return min(max(score, 3), 999)
}

// ClassShares are the CPU shares of the cgroups around all burstable and all
// best-effort pods: what the first ask for together, and the least there is.
func ClassShares(pods []*corev1.Pod) map[corev1.PodQOSClass]int64 {
	milli := int64(0)
	for _, pod := range pods {
		if QOS(pod) == corev1.PodQOSBurstable {
			requests, _ := sum(pod)
			milli += requests.Cpu().MilliValue()
		}
	}
	return map[corev1.PodQOSClass]int64{corev1.PodQOSBurstable: shares(milli), corev1.PodQOSBestEffort: leastShares}
}
