package defaults

import corev1 "k8s.io/api/core/v1"

// dropGated forgets what stands behind gates that are off in Kubernetes 1.37.
// There it is dropped from what clients write unless the stored object has it;
// here no stored object ever has, so it is done where every write comes by.
func dropGated(s *corev1.PodSpec) {
	s.SchedulingGroup, s.EvictionResponders = nil, nil
	for i := range s.Volumes {
		dropGatedVolume(&s.Volumes[i])
	}
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			dropGatedContainer(&list[i])
		}
	}
	for i := range s.EphemeralContainers {
		dropGatedContainer((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon))
	}
}

func dropGatedContainer(c *corev1.Container) {
	for i := range c.VolumeMounts {
		c.VolumeMounts[i].BindMountOptions = nil
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p == nil {
			continue
		}
		if p.HTTPGet != nil {
			p.HTTPGet.Protocol = nil
		}
		if p.GRPC != nil {
			p.GRPC.Mode = nil
		}
	}
	l := c.Lifecycle
	if l == nil {
		return
	}
	for _, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
		if h != nil && h.HTTPGet != nil {
			h.HTTPGet.Protocol = nil
		}
	}
	if l.StopSignal != nil {
		if l.StopSignal = nil; *l == (corev1.Lifecycle{}) {
			c.Lifecycle = nil
		}
	}
}

func dropGatedVolume(v *corev1.Volume) {
	if s := v.EmptyDir; s != nil {
		s.Mode = nil
	}
	if s := v.Secret; s != nil {
		s.DefaultUser = nil
		dropUsers(s.Items)
	}
	if s := v.ConfigMap; s != nil {
		s.DefaultUser = nil
		dropUsers(s.Items)
	}
	if s := v.DownwardAPI; s != nil {
		s.DefaultUser = nil
		dropDownwardUsers(s.Items)
	}
	if s := v.Projected; s != nil {
		s.DefaultUser = nil
		for i := range s.Sources {
			dropProjectedUsers(&s.Sources[i])
		}
	}
}

func dropProjectedUsers(p *corev1.VolumeProjection) {
	if s := p.Secret; s != nil {
		dropUsers(s.Items)
	}
	if s := p.ConfigMap; s != nil {
		dropUsers(s.Items)
	}
	if s := p.DownwardAPI; s != nil {
		dropDownwardUsers(s.Items)
	}
	if s := p.ServiceAccountToken; s != nil {
		s.User = nil
	}
	if s := p.ClusterTrustBundle; s != nil {
		s.User = nil
	}
	if s := p.PodCertificate; s != nil {
		s.User = nil
	}
}

func dropUsers(items []corev1.KeyToPath) {
	for i := range items {
		items[i].User = nil
	}
}

func dropDownwardUsers(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		items[i].User = nil
	}
}
