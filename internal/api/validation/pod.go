package validation

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Pod checks a new pod.
func Pod(pod *corev1.Pod) field.ErrorList {
	c := podCheck{isPod: true, podName: pod.Name}
	c.pod(pod)
	if len(pod.Spec.EphemeralContainers) > 0 {
		c.forbidden(specPath.Child("ephemeralContainers"), "cannot be set on create")
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		c.forbidden(specPath.Child("nodeName"), "cannot be set until all schedulingGates have been cleared")
	}
	return c.list
}

// pod checks what must hold of a pod at all times.
func (c *podCheck) pod(pod *corev1.Pod) {
	c.meta(&pod.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	c.podAnnotations(metaPath.Child("annotations"), &pod.ObjectMeta, &pod.Spec)
	c.spec(specPath, &pod.Spec)
	if pod.Spec.ServiceAccountName == "" {
		c.noTokens(specPath.Child("volumes"), pod.Spec.Volumes)
	}
	c.trimmedImages(specPath.Child("containers"), pod.Spec.Containers)
	c.trimmedImages(specPath.Child("initContainers"), pod.Spec.InitContainers)
}

// PodTemplateSpec checks the template of a workload.
func PodTemplateSpec(p *field.Path, t *corev1.PodTemplateSpec) field.ErrorList {
	c := podCheck{}
	c.template(p, t)
	return c.list
}

func (c *podCheck) template(p *field.Path, t *corev1.PodTemplateSpec) {
	c.labelled(&t.ObjectMeta, p)
	c.podAnnotations(p.Child("annotations"), &t.ObjectMeta, &t.Spec)
	c.spec(p.Child("spec"), &t.Spec)
	if len(t.Spec.EphemeralContainers) > 0 {
		c.forbidden(p.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template")
	}
}

// PodTemplate checks a new or changed pod template object.
func PodTemplate(t *corev1.PodTemplate) field.ErrorList {
	c := podCheck{}
	c.meta(&t.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	c.template(field.NewPath("template"), &t.Template)
	return c.list
}

// PodTemplateUpdate checks a change of a pod template object.
func PodTemplateUpdate(t, old *corev1.PodTemplate) field.ErrorList {
	c := podCheck{}
	c.metaUpdate(&t.ObjectMeta, &old.ObjectMeta)
	c.template(field.NewPath("template"), &t.Template)
	return c.list
}

func (c *podCheck) noTokens(p *field.Path, volumes []corev1.Volume) {
	for i := range volumes {
		if volumes[i].Projected == nil {
			continue
		}
		for j := range volumes[i].Projected.Sources {
			if volumes[i].Projected.Sources[j].ServiceAccountToken != nil {
				c.forbidden(p.Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken"),
					"must not be specified when serviceAccountName is not set")
			}
		}
	}
}

// podAnnotations checks the annotations that mean something to the server.
func (c *podCheck) podAnnotations(p *field.Path, m *metav1.ObjectMeta, s *corev1.PodSpec) {
	if v, mirror := m.Annotations[corev1.MirrorPodAnnotationKey]; mirror && s.NodeName == "" {
		c.invalid(p.Key(corev1.MirrorPodAnnotationKey), v, "must set spec.nodeName if mirror pod annotation is set")
	}
	if v, ok := m.Annotations[corev1.PodDeletionCost]; ok && !int32Text(v) {
		c.invalid(p.Key(corev1.PodDeletionCost), v, "must be a 32bit integer")
	}
	for key, profile := range m.Annotations {
		name, ok := strings.CutPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
		if !ok {
			continue
		}
		found := false
		eachContainer(s, specPath, func(ctr *corev1.Container, _ *field.Path) { found = found || ctr.Name == name })
		if !found {
			c.invalid(p.Key(key), name, "container not found")
		}
		switch {
		case profile == "", profile == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault,
			profile == corev1.DeprecatedAppArmorBetaProfileNameUnconfined,
			strings.HasPrefix(profile, corev1.DeprecatedAppArmorBetaProfileNamePrefix):
		default:
			c.invalid(p.Key(key), profile, "invalid AppArmor profile name: "+strconv.Quote(profile))
		}
	}
}

// int32Text says whether v is an integer as people write it: no sign, no leading zero.
func int32Text(v string) bool {
	if v == "" || v[0] == '+' || v != "0" && strings.HasPrefix(v, "0") {
		return false
	}
	_, err := strconv.ParseInt(v, 10, 32)
	return err == nil
}

// Binding checks the assignment of a pod to a node.
func Binding(b *corev1.Binding) field.ErrorList {
	var f findings
	target := field.NewPath("target")
	if b.Target.Kind != "" && b.Target.Kind != "Node" {
		f.add(field.NotSupported(target.Child("kind"), b.Target.Kind, []string{"Node", "<empty>"}))
	}
	f.notEmpty(target.Child("name"), b.Target.Name)
	return f.list
}
