package why

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	plan "berth.dev/berth/internal/plan/volume"
)

// inPod is a field of a pod's spec where it is written: in its workload's template.
func (f *Facts) inPod(pod *corev1.Pod, field string) *Change {
	w := f.workload(pod)
	if w.kind == "pod" {
		return &Change{w.String(), "spec." + field}
	}
	return &Change{w.String(), "spec.template.spec." + field}
}

// inContainer is a field of a container, where it is written.
func (f *Facts) inContainer(pod *corev1.Pod, container, field string) *Change {
	list := "containers"
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == container {
			list = "initContainers"
		}
	}
	return f.inPod(pod, fmt.Sprintf("%s[%s].%s", list, container, field))
}

// inClaim is a field of a claim, where it is written: in the template of the set
// that the claim's name speaks of.
func (f *Facts) inClaim(c *corev1.PersistentVolumeClaim, field string) *Change {
	for _, set := range f.Sets {
		for i := range set.Spec.VolumeClaimTemplates {
			template := set.Spec.VolumeClaimTemplates[i].Name
			if strings.HasPrefix(c.Name, template+"-"+set.Name+"-") {
				return &Change{"statefulset/" + set.Name, fmt.Sprintf("spec.volumeClaimTemplates[%s].%s", template, field)}
			}
		}
	}
	return &Change{"persistentvolumeclaim/" + c.Name, field}
}

// Foresee says what a set that does not exist yet would wait for, as far as that
// does not depend on room and images: its Service, and volumes for its claims.
func Foresee(f *Facts, set *appsv1.StatefulSet) []Answer {
	g := *f
	g.Sets = append([]*appsv1.StatefulSet{set}, f.Sets...)
	answers := g.governing(&setFacts{set: set})
	for i := range set.Spec.VolumeClaimTemplates {
		claim := set.Spec.VolumeClaimTemplates[i].DeepCopy()
		claim.Name, claim.Namespace, claim.CreationTimestamp = claim.Name+"-"+set.Name+"-0", f.Name, metav1.Time{Time: f.Now}
		if class := plan.DefaultClass(f.Classes); class != nil && claim.Spec.StorageClassName == nil {
			claim.Spec.StorageClassName = &class.Name
		}
		if _, found := named(f.Claims, claim.Name); found || g.fits(claim) {
			continue
		}
		for _, a := range g.claim(claim) {
			if a.Passes == No {
				a.Since = nil
				answers = append(answers, a)
			}
		}
	}
	return answers
}

// fits tells whether some volume is free for the claim.
func (f *Facts) fits(c *corev1.PersistentVolumeClaim) bool {
	for _, pv := range f.Volumes {
		if pv.Spec.ClaimRef == nil && misfit(c, pv) == "" {
			return true
		}
	}
	return false
}
