package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const notEphemeral = "cannot be set for an Ephemeral Container"

// ephemeralContainers checks the containers that were added for debugging.
func (c *podCheck) ephemeralContainers(p *field.Path, s *corev1.PodSpec) {
	if len(s.EphemeralContainers) == 0 {
		return
	}
	lasting, all := names{}, names{}
	for _, list := range [][]corev1.Container{s.Containers, s.InitContainers} {
		for i := range list {
			lasting.use(list[i].Name)
			all.use(list[i].Name)
		}
	}
	for i := range s.EphemeralContainers {
		e, p := &s.EphemeralContainers[i], p.Index(i)
		ctr := (*corev1.Container)(&e.EphemeralContainerCommon)
		c.container(p, ctr)
		c.trimmedImage(p, ctr.Image)
		if !all.use(e.Name) {
			c.add(field.Duplicate(p.Child("name"), e.Name))
		}
		if e.TargetContainerName != "" && !lasting.has(e.TargetContainerName) {
			c.add(field.NotFound(p.Child("targetContainerName"), e.TargetContainerName))
		}
		c.notForDebugging(p, ctr)
	}
}

// notForDebugging refuses what an application would rely on.
func (c *podCheck) notForDebugging(p *field.Path, ctr *corev1.Container) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"ports", ctr.Ports != nil},
		{"resources", ctr.Resources.Limits != nil || ctr.Resources.Requests != nil || ctr.Resources.Claims != nil},
		{"resizePolicy", ctr.ResizePolicy != nil},
		{"restartPolicy", ctr.RestartPolicy != nil},
		{"restartPolicyRules", ctr.RestartPolicyRules != nil},
		{"livenessProbe", ctr.LivenessProbe != nil},
		{"readinessProbe", ctr.ReadinessProbe != nil},
		{"startupProbe", ctr.StartupProbe != nil},
		{"lifecycle", ctr.Lifecycle != nil},
	} {
		if f.set {
			c.forbidden(p.Child(f.name), notEphemeral)
		}
	}
	for i := range ctr.VolumeMounts {
		if ctr.VolumeMounts[i].SubPath != "" {
			c.forbidden(p.Child("volumeMounts").Index(i).Child("subPath"), notEphemeral)
		}
		if ctr.VolumeMounts[i].SubPathExpr != "" {
			c.forbidden(p.Child("volumeMounts").Index(i).Child("subPathExpr"), notEphemeral)
		}
	}
}
