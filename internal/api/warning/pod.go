package warning

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Pod warns about a pod.
func Pod(p *corev1.Pod) []string {
	var w list
	if m := validation.IsDNS1123Label(p.Name); p.Name != "" && len(m) > 0 {
		w.say("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", m)
	}
	w.pod(nil, &p.ObjectMeta, &p.Spec)
	return w
}

// pod warns about a pod or a template at p.
func (w *list) pod(p *field.Path, m *metav1.ObjectMeta, s *corev1.PodSpec) {
	spec := p.Child("spec")
	for _, key := range sortedKeys(s.NodeSelector) {
		if hint, ok := oldNodeLabels[key]; ok {
			w.say("%s: %s", spec.Child("nodeSelector").Key(key), hint)
		}
	}
	w.affinity(spec.Child("affinity"), s.Affinity)
	for i := range s.TopologySpreadConstraints {
		if c := &s.TopologySpreadConstraints[i]; c.LabelSelector == nil {
			w.say("%s: a null labelSelector results in matching no pod", spec.Child("topologySpreadConstraints").Index(i).Child("labelSelector"))
		}
	}
	for _, a := range oldPodAnnotations {
		if _, ok := m.Annotations[a.key]; ok {
			w.say("%s: %s", p.Child("metadata", "annotations").Key(a.key), a.hint)
		}
	}
	for i := range s.Volumes {
		w.volume(spec.Child("volumes").Index(i), &s.Volumes[i])
	}
	hosts := map[string]bool{}
	for i, a := range s.HostAliases {
		if hosts[a.IP] {
			w.say("%s: duplicate ip %q", spec.Child("hostAliases").Index(i).Child("ip"), a.IP)
		}
		hosts[a.IP] = true
	}
	secrets := map[string]bool{}
	for i, r := range s.ImagePullSecrets {
		at := spec.Child("imagePullSecrets").Index(i).Child("name")
		switch {
		case r.Name == "":
			w.say("%s: invalid empty name %q", at, r.Name)
		case secrets[r.Name]:
			w.say("%s: duplicate name %q", at, r.Name)
		}
		secrets[r.Name] = true
	}
	for i := range s.InitContainers {
		w.container(spec.Child("initContainers").Index(i), &s.InitContainers[i])
	}
	for i := range s.Containers {
		w.container(spec.Child("containers").Index(i), &s.Containers[i])
	}
	w.fractions(spec.Child("overhead"), s.Overhead)
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		w.say("%s: must be >= 0; negative values are invalid and will be treated as 1", spec.Child("terminationGracePeriodSeconds"))
	}
}

// oldNodeLabels are the labels that have better names now.
var oldNodeLabels = map[string]string{
	"beta.kubernetes.io/arch":           `deprecated since v1.14; use "kubernetes.io/arch" instead`,
	"beta.kubernetes.io/os":             `deprecated since v1.14; use "kubernetes.io/os" instead`,
	corev1.LabelFailureDomainBetaRegion: `deprecated since v1.17; use "topology.kubernetes.io/region" instead`,
	corev1.LabelFailureDomainBetaZone:   `deprecated since v1.17; use "topology.kubernetes.io/zone" instead`,
	corev1.LabelInstanceType:            `deprecated since v1.17; use "node.kubernetes.io/instance-type" instead`,
}

var oldPodAnnotations = []struct{ key, hint string }{
	{"seccomp.security.alpha.kubernetes.io/pod", `non-functional in v1.27+; use the "seccompProfile" field instead`},
	{"security.alpha.kubernetes.io/sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	{"security.alpha.kubernetes.io/unsafe-sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	{"scheduler.alpha.kubernetes.io/critical-pod", `non-functional in v1.16+; use the "priorityClassName" field instead`},
}

func (w *list) affinity(p *field.Path, a *corev1.Affinity) {
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return
	}
	terms := p.Child("nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
	for i, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for j, e := range t.MatchExpressions {
			if hint, ok := oldNodeLabels[e.Key]; ok {
				w.say("%s: %s is %s", terms.Index(i).Child("matchExpressions").Index(j).Child("key"), e.Key, hint)
			}
		}
	}
}

// volume warns about sources that nothing mounts any more.
func (w *list) volume(p *field.Path, v *corev1.Volume) {
	for _, old := range []struct {
		used bool
		name string
		hint string
	}{
		{v.PhotonPersistentDisk != nil, "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
		{v.GitRepo != nil, "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
		{v.ScaleIO != nil, "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
		{v.Flocker != nil, "flocker", "deprecated in v1.22, non-functional in v1.25+"},
		{v.StorageOS != nil, "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
		{v.Quobyte != nil, "quobyte", "deprecated in v1.22, non-functional in v1.25+"},
		{v.Glusterfs != nil, "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
		{v.CephFS != nil, "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
		{v.RBD != nil, "rbd", "deprecated in v1.28, non-functional in v1.31+"},
	} {
		if old.used {
			w.say("%s: %s", p.Child(old.name), old.hint)
		}
	}
	if e := v.Ephemeral; e != nil && e.VolumeClaimTemplate != nil {
		w.claim(p.Child("ephemeral", "volumeClaimTemplate"), &e.VolumeClaimTemplate.Spec)
	}
}

func (w *list) container(p *field.Path, c *corev1.Container) {
	variables := map[string]string{}
	for i, e := range c.Env {
		before, twice := variables[e.Name]
		// A variable may be built from an earlier one of its own name.
		if twice && !strings.Contains(e.Value, "$("+e.Name+")") && before != e.Value {
			w.say("%s: hides previous definition of %q, which may be dropped when using apply", p.Child("env").Index(i), e.Name)
		}
		variables[e.Name] = e.Value
	}
	w.fractions(p.Child("resources", "limits"), c.Resources.Limits)
	w.fractions(p.Child("resources", "requests"), c.Resources.Requests)
	for i, port := range c.Ports {
		for j, earlier := range c.Ports[:i] {
			if port.ContainerPort == earlier.ContainerPort && port.Protocol == earlier.Protocol &&
				port.HostPort == earlier.HostPort && port.HostIP == earlier.HostIP {
				w.say("%s: duplicate port definition with %s", p.Child("ports").Index(i), p.Child("ports").Index(j))
				break
			}
		}
	}
}

// fractions warns about parts of bytes.
func (w *list) fractions(p *field.Path, l corev1.ResourceList) {
	for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourceStorage} {
		if q, ok := l[name]; ok && fractional(q) {
			w.say("%s: fractional byte value %q is invalid, must be an integer", p.Key(string(name)), q.String())
		}
	}
}

func fractional(q resource.Quantity) bool { return q.MilliValue()%1000 != 0 }

// list gathers warnings.
type list []string

func (w *list) say(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }
