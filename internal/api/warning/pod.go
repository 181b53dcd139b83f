package warning

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Pod warns about a new pod. Changes of pods warn of nothing: people seldom
// make them, and agents and controllers make many.
func Pod(p *corev1.Pod) []string {
	var w list
	if m := validation.IsDNS1123Label(p.Name); len(m) > 0 {
		w.say("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", m)
	}
	w.pod(nil, &p.ObjectMeta, &p.Spec)
	return w
}

// pod warns about a pod, or a template at p.
func (w *list) pod(p *field.Path, m *metav1.ObjectMeta, s *corev1.PodSpec) {
	spec := p.Child("spec")
	w.oldLabels(spec, s)
	for i := range s.Volumes {
		w.volume(spec.Child("volumes").Index(i), &s.Volumes[i])
	}
	for i := range s.Volumes {
		w.overlappingPaths(&s.Volumes[i])
	}
	hosts := map[string]bool{}
	for i, a := range s.HostAliases {
		if hosts[a.IP] {
			w.say("%s: duplicate ip %q", spec.Child("hostAliases").Index(i).Child("ip"), a.IP)
		}
		hosts[a.IP] = true
	}
	w.pullSecrets(spec.Child("imagePullSecrets"), s.ImagePullSecrets)
	w.fractions(spec.Child("overhead"), s.Overhead)
	annotations := p.Child("metadata", "annotations")
	if s.SecurityContext == nil || s.SecurityContext.SeccompProfile == nil {
		w.oldSeccomp(annotations, m, corev1.SeccompPodAnnotationKey)
	}
	eachContainer(spec, s, func(at *field.Path, c *corev1.Container) {
		if c.SecurityContext == nil || c.SecurityContext.SeccompProfile == nil {
			w.oldSeccomp(annotations, m, corev1.SeccompContainerAnnotationKeyPrefix+c.Name)
		}
		if p != nil && (c.SecurityContext == nil || c.SecurityContext.AppArmorProfile == nil) {
			key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + c.Name
			if value, ok := m.Annotations[key]; ok && !coveredByPod(value, s.SecurityContext) {
				w.say(`%s: deprecated since v1.30; use the "appArmorProfile" field instead`, annotations.Key(key))
			}
		}
		w.container(at, c)
	})
	w.ports(spec, s)
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		w.say("%s: must be >= 0; negative values are invalid and will be treated as 1", spec.Child("terminationGracePeriodSeconds"))
	}
	w.nullSelectors(spec.Child("affinity"), s.Affinity)
	if d := s.DNSConfig; d != nil {
		for i, ip := range d.Nameservers {
			w.add(validation.GetWarningsForIP(spec.Child("dnsConfig", "nameservers").Index(i), ip))
		}
	}
	for i, a := range s.HostAliases {
		w.add(validation.GetWarningsForIP(spec.Child("hostAliases").Index(i).Child("ip"), a.IP))
	}
}

func eachContainer(p *field.Path, s *corev1.PodSpec, f func(*field.Path, *corev1.Container)) {
	for i := range s.InitContainers {
		f(p.Child("initContainers").Index(i), &s.InitContainers[i])
	}
	for i := range s.Containers {
		f(p.Child("containers").Index(i), &s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		f(p.Child("ephemeralContainers").Index(i), (*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon))
	}
}

func (w *list) oldSeccomp(p *field.Path, m *metav1.ObjectMeta, key string) {
	if _, ok := m.Annotations[key]; ok {
		w.say(`%s: non-functional in v1.27+; use the "seccompProfile" field instead`, p.Key(key))
	}
}

// coveredByPod says that an AppArmor annotation asks for what the pod's field says.
func coveredByPod(annotation string, s *corev1.PodSecurityContext) bool {
	if s == nil || s.AppArmorProfile == nil {
		return false
	}
	profile := s.AppArmorProfile
	switch profile.Type {
	case corev1.AppArmorProfileTypeUnconfined:
		return annotation == corev1.DeprecatedAppArmorBetaProfileNameUnconfined
	case corev1.AppArmorProfileTypeRuntimeDefault:
		return annotation == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault
	case corev1.AppArmorProfileTypeLocalhost:
		return profile.LocalhostProfile != nil && annotation == corev1.DeprecatedAppArmorBetaProfileNamePrefix+*profile.LocalhostProfile
	}
	return false
}

func (w *list) pullSecrets(p *field.Path, refs []corev1.LocalObjectReference) {
	seen := map[string]bool{}
	for i, r := range refs {
		if seen[r.Name] {
			w.say("%s: duplicate name %q", p.Index(i).Child("name"), r.Name)
		}
		seen[r.Name] = true
	}
	for i, r := range refs {
		if r.Name == "" {
			w.say("%s: invalid empty name %q", p.Index(i).Child("name"), r.Name)
		}
	}
}

func (w *list) container(p *field.Path, c *corev1.Container) {
	w.fractions(p.Child("resources", "limits"), c.Resources.Limits)
	w.fractions(p.Child("resources", "requests"), c.Resources.Requests)
	seen := map[string]bool{}
	for i, e := range c.Env {
		before := "$(" + e.Name + ")"
		// A variable may be built from an earlier one of its own name.
		if seen[e.Name] && (e.ValueFrom != nil || e.Value == before || !strings.Contains(e.Value, before)) {
			w.say("%s: hides previous definition of %q, which may be dropped when using apply", p.Child("env").Index(i), e.Name)
		}
		seen[e.Name] = true
	}
}

// fractions warns about parts of bytes.
func (w *list) fractions(p *field.Path, l corev1.ResourceList) {
	for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		w.fraction(p, l, name)
	}
}

func (w *list) fraction(p *field.Path, l corev1.ResourceList, name corev1.ResourceName) {
	if q, ok := l[name]; ok && q.MilliValue()%1000 != 0 {
		w.say("%s: fractional byte value %q is invalid, must be an integer", p.Key(string(name)), q.String())
	}
}

// list gathers warnings.
type list []string

func (w *list) say(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

func (w *list) add(texts []string) { *w = append(*w, slices.Clip(texts)...) }
