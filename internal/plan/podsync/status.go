package podsync

import (
	"slices"
	"strings"

	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/probe"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// status is the pod's status as of now.
func (d *decision) status() corev1.PodStatus {
	s := *d.Pod.Status.DeepCopy()
	s.ObservedGeneration = d.Pod.Generation
	if s.StartTime = d.known().StartTime; s.StartTime == nil {
		s.StartTime = ptr.To(metav1.NewTime(d.Now).Rfc3339Copy())
	}
	if s.QOSClass == "" {
		s.QOSClass = podspec.QOS(d.Pod)
	}
	if d.neverTaken() {
		d.refused(&s)
		return s
	}
	if given := d.Pod.Spec.Resources; given != nil {
		s.Resources, s.AllocatedResources = given.DeepCopy(), given.Requests.DeepCopy()
	}
	d.addresses(&s)
	s.InitContainerStatuses = d.statuses(d.Pod.Spec.InitContainers, d.known().InitContainerStatuses, true)
	s.ContainerStatuses = byName(d.statuses(d.Pod.Spec.Containers, d.known().ContainerStatuses, false))
	s.EphemeralContainerStatuses = d.ephemeralStatuses()
	d.setPhase(&s)
	s.Conditions = d.conditions(&s)
	return s
}

func (d *decision) setPhase(s *corev1.PodStatus) {
	over := (d.plan.Ending || Finished(d.known().Phase)) && d.allQuiet()
	s.Phase = d.phase(s.InitContainerStatuses, s.ContainerStatuses, over)
	s.Reason, s.Message = d.known().Reason, d.known().Message
	if known := d.known().Phase; Finished(known) {
		s.Phase = known // a finished pod stays finished
		return
	}
	// Who waits for the end of a pod may rely on it: its containers come first.
	if d.Kill != nil && d.Kill.Phase != "" && d.allQuiet() {
		s.Phase, s.Reason, s.Message = d.Kill.Phase, d.Kill.Reason, d.Kill.Message
	}
}

// neverTaken is true for a pod that failed before anything of it was begun.
func (d *decision) neverTaken() bool {
	if d.Kill != nil {
		return d.Kill.Refused
	}
	return Finished(d.known().Phase) && len(d.known().ContainerStatuses) == 0 && len(d.Containers) == 0
}

// refused is a status that says no more than why.
func (d *decision) refused(s *corev1.PodStatus) {
	known := d.known()
	s.Phase, s.Reason, s.Message = known.Phase, known.Reason, known.Message
	if d.Kill != nil {
		s.Phase, s.Reason, s.Message = d.Kill.Phase, d.Kill.Reason, d.Kill.Message
	}
}

// allQuiet is true when no container runs and none is being started.
func (d *decision) allQuiet() bool {
	for i := range d.Containers {
		if d.Containers[i].Phase == Running {
			return false
		}
	}
	return d.Busy.Start == "" && !d.Busy.Sandbox
}

func (d *decision) addresses(s *corev1.PodStatus) {
	s.HostIP, s.HostIPs = "", nil
	for _, ip := range d.Node.IPs {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
	}
	if len(d.Node.IPs) > 0 {
		s.HostIP = d.Node.IPs[0]
	}
	s.PodIP, s.PodIPs = d.known().PodIP, d.known().PodIPs
	var ips []string
	switch {
	case d.Pod.Spec.HostNetwork && d.sandbox != nil:
		ips = d.Node.IPs
	case d.sandbox != nil:
		ips = d.sandbox.IPs
	}
	if len(ips) == 0 {
		return // an address outlives its sandbox in the status
	}
	s.PodIP, s.PodIPs = ips[0], nil
	for _, ip := range ips {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
}

func (d *decision) statuses(specs []corev1.Container, before []corev1.ContainerStatus, initial bool) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range specs {
		st := d.containerStatus(&specs[i], find(before, specs[i].Name))
		d.judge(&specs[i], &st, initial)
		out = append(out, st)
	}
	return out
}

// byName is upstream's order of all statuses but those of init containers.
func byName(list []corev1.ContainerStatus) []corev1.ContainerStatus {
	slices.SortFunc(list, func(a, b corev1.ContainerStatus) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (d *decision) ephemeralStatuses() []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range d.Pod.Spec.EphemeralContainers {
		c := corev1.Container(d.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		out = append(out, d.containerStatus(&c, find(d.known().EphemeralContainerStatuses, c.Name)))
	}
	return byName(out)
}

// judge sets started and ready.
func (d *decision) judge(c *corev1.Container, st *corev1.ContainerStatus, initial bool) {
	cur := d.latest[c.Name]
	verdicts := probe.Verdicts{}
	if cur != nil {
		verdicts = d.Probes[cur.ID]
	}
	started := st.State.Running != nil && (c.StartupProbe == nil || verdicts.Startup == probe.Success)
	if initial && started && d.Busy.Start == c.Name {
		started = false // its postStart hook has not returned
	}
	st.Started = &started
	switch {
	case initial && !IsSidecar(c):
		st.Ready = st.State.Terminated != nil && st.State.Terminated.ExitCode == 0
	case c.ReadinessProbe == nil:
		st.Ready = started
	default:
		st.Ready = started && verdicts.Readiness == probe.Success
	}
}
