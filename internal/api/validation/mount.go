package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c *podCheck) volumeMounts(p *field.Path, ctr *corev1.Container) {
	paths := names{}
	for i := range ctr.VolumeMounts {
		m, at := &ctr.VolumeMounts[i], p.Index(i)
		c.notEmpty(at.Child("name"), m.Name)
		if _, known := c.volumes[m.Name]; !known {
			c.add(field.NotFound(at.Child("name"), m.Name))
		}
		c.notEmpty(at.Child("mountPath"), m.MountPath)
		if !paths.use(m.MountPath) {
			c.invalid(at.Child("mountPath"), m.MountPath, "must be unique")
		}
		for j := range ctr.VolumeDevices {
			if ctr.VolumeDevices[j].Name == m.Name {
				c.invalid(at.Child("name"), m.Name, "must not already exist in volumeDevices")
				break
			}
		}
		for j := range ctr.VolumeDevices {
			if ctr.VolumeDevices[j].DevicePath == m.MountPath {
				c.invalid(at.Child("mountPath"), m.MountPath, "must not already exist as a path in volumeDevices")
				break
			}
		}
		c.subPaths(p, at, m)
		if m.MountPropagation != nil {
			c.propagation(p.Child("mountPropagation"), *m.MountPropagation, ctr)
		}
		if m.RecursiveReadOnly != nil {
			c.recursiveReadOnly(p.Child("recursiveReadOnly"), m)
		}
	}
}

func (c *podCheck) subPaths(list, at *field.Path, m *corev1.VolumeMount) {
	if m.SubPath != "" {
		c.below(list.Child("subPath"), m.SubPath)
	}
	if m.SubPathExpr != "" {
		if m.SubPath != "" {
			c.invalid(at.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive")
		}
		c.below(list.Child("subPathExpr"), m.SubPathExpr)
	}
}

func (c *podCheck) propagation(p *field.Path, mode corev1.MountPropagationMode, ctr *corev1.Container) {
	among(&c.findings, p, mode, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
	if mode == corev1.MountPropagationBidirectional && !privileged(ctr) {
		c.forbidden(p, "Bidirectional mount propagation is available only to privileged containers")
	}
}

func (c *podCheck) recursiveReadOnly(p *field.Path, m *corev1.VolumeMount) {
	switch *m.RecursiveReadOnly {
	case corev1.RecursiveReadOnlyDisabled:
	case corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible:
		if !m.ReadOnly {
			c.forbidden(p, "may only be specified when readOnly is true")
		}
		if m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
			c.forbidden(p, "may only be specified when mountPropagation is None or not specified")
		}
	default:
		among(&c.findings, p, *m.RecursiveReadOnly,
			corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
	}
}

func (c *podCheck) volumeDevices(p *field.Path, ctr *corev1.Container) {
	devices, paths := names{}, names{}
	for i := range ctr.VolumeDevices {
		d, p := &ctr.VolumeDevices[i], p.Index(i)
		c.notEmpty(p.Child("name"), d.Name)
		if d.Name != "" && !devices.use(d.Name) {
			c.invalid(p.Child("name"), d.Name, "must be unique")
		}
		if v, known := c.volumes[d.Name]; !known {
			c.add(field.NotFound(p.Child("name"), d.Name))
		} else if v.PersistentVolumeClaim == nil && v.Ephemeral == nil {
			c.invalid(p.Child("name"), d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
		}
		c.notEmpty(p.Child("devicePath"), d.DevicePath)
		var steps findings
		steps.noBacksteps(nil, d.DevicePath)
		switch {
		case len(steps.list) > 0:
			c.invalid(p.Child("devicePath"), d.DevicePath, "can not contain backsteps ('..')")
		case !paths.use(d.DevicePath):
			c.invalid(p.Child("devicePath"), d.DevicePath, "must be unique")
		}
		for j := range ctr.VolumeMounts {
			if ctr.VolumeMounts[j].Name == d.Name {
				c.invalid(p.Child("name"), d.Name, "must not already exist in volumeMounts")
				break
			}
		}
		for j := range ctr.VolumeMounts {
			if ctr.VolumeMounts[j].MountPath == d.DevicePath {
				c.invalid(p.Child("devicePath"), d.DevicePath, "must not already exist as a path in volumeMounts")
				break
			}
		}
	}
}

func privileged(ctr *corev1.Container) bool {
	s := ctr.SecurityContext
	return s != nil && s.Privileged != nil && *s.Privileged
}
