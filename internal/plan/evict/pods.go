package evict

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	podresource "k8s.io/component-helpers/resource"

	"berth.dev/berth/internal/plan/admit"
	"berth.dev/berth/internal/plan/podsync"
	"berth.dev/berth/internal/plan/schedule"
)

// Pod is a pod with what it uses.
type Pod struct {
	*corev1.Pod
	// Known is false when nothing could be learned of its use.
	Known      bool
	Memory     int64
	Disk       int64 // writable layers, logs and volumes on the node's disk
	Inodes     int64
	Processes  int64
	Containers []Container
	// Volumes are the bytes in each emptyDir.
	Volumes map[string]int64
}

// Container is what one container uses.
type Container struct {
	Name   string
	Memory int64
	Disk   int64 // writable layer and logs
}

const reason = "Evicted"

// quickly is how long pods have to stop when there is no time, in seconds.
const quickly = 1

// Victim is the pod that goes first for a threshold, and how; nil when none may go.
func (c Config) Victim(t Threshold, o Observation, pods []Pod) (*Pod, podsync.Kill) {
	pods = slices.Clone(pods)
	slices.SortStableFunc(pods, func(a, b Pod) int { return t.Signal.rank(&a, &b) })
	for i := range pods {
		p := &pods[i]
		if admit.Critical(p.Pod) {
			continue
		}
		message := t.message(o) + p.consumption(t.Signal)
		grace := int64(quickly)
		if t.Grace > 0 {
			grace = c.MaxGrace
		}
		return p, podsync.Kill{
			Phase: corev1.PodFailed, Reason: reason, Message: message, Grace: &grace,
			Condition: corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
				Reason: corev1.PodReasonTerminationByKubelet, Message: message,
			},
		}
	}
	return nil, podsync.Kill{}
}

// rank compares pods: the one to go first is less.
func (s Signal) rank(a, b *Pod) int {
	if s != PIDAvailable && a.Known != b.Known {
		return yes(!a.Known, !b.Known)
	}
	priority := cmp.Compare(schedule.Priority(a.Pod), schedule.Priority(b.Pod))
	if s == PIDAvailable {
		return cmp.Or(priority, cmp.Compare(b.Processes, a.Processes))
	}
	overA, overB := s.over(a), s.over(b)
	return cmp.Or(yes(overA > 0, overB > 0), priority, cmp.Compare(overB, overA))
}

func yes(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// over is how much more a pod uses than it asked for.
func (s Signal) over(p *Pod) int64 {
	asked := podresource.PodRequests(p.Pod, podresource.PodResourcesOptions{})
	switch s {
	case MemoryAvailable, AllocatableMemory:
		return p.Memory - asked.Memory().Value()
	case InodesFree:
		return p.Inodes
	default:
		return p.Disk - asked.StorageEphemeral().Value()
	}
}

// consumption names the containers that use more than they asked for.
func (p *Pod) consumption(s Signal) string {
	text := ""
	for _, used := range p.Containers {
		for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
			if c.Name != used.Name {
				continue
			}
			n := used.Memory
			switch s {
			case DiskAvailable:
				n = used.Disk
			case MemoryAvailable, AllocatableMemory:
			default:
				continue
			}
			asked := c.Resources.Requests[s.Resource()]
			if have := resource.NewQuantity(n, resource.BinarySI); have.Cmp(asked) > 0 {
				text += fmt.Sprintf("Container %s was using %s, request is %s, has larger consumption of %v. ", c.Name, have, &asked, s.Resource())
			}
		}
	}
	return text
}

// Limited is true for a pod that may only have so much of the node's disk.
func Limited(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if e := pod.Spec.Volumes[i].EmptyDir; e != nil && e.SizeLimit != nil && e.SizeLimit.Sign() > 0 {
			return true
		}
	}
	limits := podresource.PodLimits(pod, podresource.PodResourcesOptions{})
	return !limits.StorageEphemeral().IsZero()
}

// Exceeds says how to end a pod that has taken more disk than it may, nil when
// it has not.
func Exceeds(p *Pod) *podsync.Kill {
	message := p.excess()
	if message == "" || admit.Critical(p.Pod) {
		return nil
	}
	grace := int64(quickly)
	return &podsync.Kill{Phase: corev1.PodFailed, Reason: reason, Message: message, Grace: &grace}
}

func (p *Pod) excess() string {
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.EmptyDir == nil || v.EmptyDir.SizeLimit == nil || v.EmptyDir.SizeLimit.Sign() <= 0 {
			continue
		}
		if p.Volumes[v.Name] > v.EmptyDir.SizeLimit.Value() {
			return fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, v.EmptyDir.SizeLimit.String())
		}
	}
	limits := podresource.PodLimits(p.Pod, podresource.PodResourcesOptions{})
	if limit, ok := limits[corev1.ResourceEphemeralStorage]; ok && p.Disk > limit.Value() {
		return fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s. ", limit.String())
	}
	for _, used := range p.Containers {
		for i := range p.Spec.Containers {
			c := &p.Spec.Containers[i]
			if limit := c.Resources.Limits.StorageEphemeral(); c.Name == used.Name && !limit.IsZero() && used.Disk > limit.Value() {
				return fmt.Sprintf("Container %s exceeded its local ephemeral storage limit %q. ", c.Name, limit.String())
			}
		}
	}
	return ""
}
