package why

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/storage/volume"

	plan "berth.dev/berth/internal/plan/volume"
)

func phaseWord(c *corev1.PersistentVolumeClaim) string {
	if c.DeletionTimestamp != nil {
		return "terminating"
	}
	if c.Status.Phase == "" {
		return "pending"
	}
	return strings.ToLower(string(c.Status.Phase))
}

// claim says what a claim waits for; nothing when it is bound.
func (f *Facts) claim(c *corev1.PersistentVolumeClaim) []Answer {
	a := Answer{Object: "persistentvolumeclaim/" + c.Name, Since: at(c.CreationTimestamp.Time), Passes: No}
	a.Next = f.command("describe pvc %s", c.Name)
	switch {
	case c.DeletionTimestamp != nil:
		return []Answer{f.goingClaim(c)}
	case c.Status.Phase == corev1.ClaimLost:
		a.Reason = ClaimLost
		a.Sentence = fmt.Sprintf("claim %s has lost its volume %s: what was on it is gone unless the volume comes back", c.Name, c.Spec.VolumeName)
		if e := f.events("PersistentVolumeClaim", c.Name, c.UID, "ClaimLost", "ClaimMisbound"); len(e) > 0 {
			a.Since = at(first(e[0]))
		}
		a.Next = f.command("delete pvc %s", c.Name) + "   # and its pod: both are made anew, empty"
		return []Answer{a}
	case c.Spec.VolumeName != "":
		return f.namedVolume(c, a)
	}
	return []Answer{f.unbound(c, a)}
}

// goingClaim is a claim that is being deleted.
func (f *Facts) goingClaim(c *corev1.PersistentVolumeClaim) Answer {
	var users []string
	for _, pod := range f.Pods {
		if slices.Contains(claimNames(pod), c.Name) && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			users = append(users, pod.Name)
		}
	}
	if len(users) == 0 {
		others := slices.DeleteFunc(slices.Clone(c.Finalizers), func(s string) bool { return s == plan.ClaimProtection })
		if len(others) > 0 {
			return f.finalizer("persistentvolumeclaim", c.Name, others, c.DeletionTimestamp.Time)
		}
		return Answer{
			Reason: ClaimInUse, Object: "persistentvolumeclaim/" + c.Name, Since: at(c.DeletionTimestamp.Time), Passes: Yes,
			Sentence: fmt.Sprintf("claim %s is deleted and about to go: no pod uses it", c.Name),
			Next:     f.command("get pvc %s --watch", c.Name),
		}
	}
	return Answer{
		Reason: ClaimInUse, Object: "persistentvolumeclaim/" + c.Name, Since: at(c.DeletionTimestamp.Time), Passes: No,
		Sentence: fmt.Sprintf("claim %s is deleted and stays until no pod uses it: %s does", c.Name, list(users)),
		Next:     f.command("delete pod %s", strings.Join(users, " ")),
	}
}

// namedVolume is a claim that has a volume's name in it.
func (f *Facts) namedVolume(c *corev1.PersistentVolumeClaim, a Answer) []Answer {
	if metav1.HasAnnotation(c.ObjectMeta, volume.AnnBindCompleted) {
		return nil
	}
	pv, ok := named(f.Volumes, c.Spec.VolumeName)
	a.Change = f.inClaim(c, "spec.volumeName")
	switch {
	case !ok && f.Volumes != nil:
		a.Reason, a.Sentence = ClaimNoVolumeFits, fmt.Sprintf("claim %s asks for volume %s, which does not exist", c.Name, c.Spec.VolumeName)
	case ok && misfit(c, pv) != "":
		a.Reason, a.Sentence = ClaimNoVolumeFits, fmt.Sprintf("claim %s asks for volume %s, which does not fit: %s", c.Name, pv.Name, misfit(c, pv))
	default:
		a.Change = nil
		a.Reason, a.Passes, a.Sentence = ClaimProvisioning, Yes, fmt.Sprintf("claim %s is being bound to volume %s", c.Name, c.Spec.VolumeName)
	}
	return []Answer{a}
}

func (f *Facts) unbound(c *corev1.PersistentVolumeClaim, a Answer) Answer {
	name := volume.GetPersistentVolumeClaimClass(c)
	class, known := named(f.Classes, name)
	delayed := known && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	switch {
	case name == "" && c.Spec.StorageClassName == nil && plan.DefaultClass(f.Classes) == nil:
		a.Reason, a.Sentence = ClaimNoClass, fmt.Sprintf("claim %s names no StorageClass and none is the default", c.Name)
		a.Change = f.inClaim(c, "spec.storageClassName")
		class := "CLASS"
		if len(f.Classes) > 0 {
			class = f.Classes[0].Name
		}
		a.Next = f.global(`patch storageclass %s -p '{"metadata":{"annotations":{"%s":"true"}}}'`, class, plan.DefaultClassAnnotation)
		a.Details = f.misfits(c)
	case name != "" && !known:
		a.Reason, a.Sentence = ClaimClassMissing, fmt.Sprintf("claim %s asks for StorageClass %s, which does not exist", c.Name, name)
		a.Change = f.inClaim(c, "spec.storageClassName")
		a.Next = f.global("get storageclass")
		a.Details = f.misfits(c)
	case known && plan.BeginsAsCopy(c) && class.Provisioner == plan.LocalProvisioner:
		return f.provisioning(c, class, a) // a copy waits for no pod
	case delayed && c.Annotations[volume.AnnSelectedNode] == "" && class.Provisioner != volume.NotSupportedProvisioner:
		return f.awaitConsumer(c, a)
	case name == "" || class.Provisioner == volume.NotSupportedProvisioner:
		a.Reason, a.Sentence = ClaimNoVolumeFits, fmt.Sprintf("claim %s finds no PersistentVolume that fits, and StorageClass %q makes none", c.Name, name)
		a.Change = f.inClaim(c, f.nearestMiss(c))
		a.Details = f.misfits(c)
		a.Next = f.global("create -f VOLUME.yaml") + fmt.Sprintf("   # of class %q, at least %s", name, asked(c))
	default:
		return f.provisioning(c, class, a)
	}
	return a
}

func asked(c *corev1.PersistentVolumeClaim) string {
	q := c.Spec.Resources.Requests[corev1.ResourceStorage]
	return q.String()
}

// awaitConsumer is a claim whose class waits for a pod to be placed.
func (f *Facts) awaitConsumer(c *corev1.PersistentVolumeClaim, a Answer) Answer {
	a.Reason, a.Passes = ClaimWaitsForConsumer, Yes
	a.Sentence = fmt.Sprintf("claim %s gets its volume when a pod that uses it is placed, and none does", c.Name)
	a.Next = f.command("get pods --watch")
	for _, pod := range f.Pods {
		if slices.Contains(claimNames(pod), c.Name) {
			a.Sentence = fmt.Sprintf("claim %s gets its volume when pod %s is placed", c.Name, pod.Name)
			if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
				continue
			}
			for _, cause := range f.unplaced(pod) {
				a.Passes = worst(a.Passes, cause.Passes)
				a.Details = append(a.Details, cause.Sentence)
				a.Next = cause.Next
			}
			return a
		}
	}
	return a
}

// provisioning is a claim that somebody should be making a volume for.
func (f *Facts) provisioning(c *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, a Answer) Answer {
	if e := f.events("PersistentVolumeClaim", c.Name, c.UID, "ProvisioningFailed"); len(e) > 0 {
		a.Reason, a.Passes, a.Since = ClaimProvisionerFails, Unknown, at(first(e[0]))
		a.Sentence = fmt.Sprintf("provisioner %s of StorageClass %s cannot make a volume for claim %s: %s", class.Provisioner, class.Name, c.Name, brief(e[0].Message))
		if c.Spec.Selector != nil && plan.BuiltIn(class.Provisioner) {
			// No new volume ever has the labels that are asked for.
			a.Passes, a.Change = No, f.inClaim(c, "spec.selector")
		}
		return a
	}
	a.Reason, a.Passes = ClaimProvisioning, Yes
	a.Sentence = fmt.Sprintf("claim %s waits for provisioner %s to make a volume", c.Name, class.Provisioner)
	a.Next = f.command("get pvc %s --watch", c.Name)
	if f.Now.Sub(c.CreationTimestamp.Time) > staleAfter {
		a.Passes = Unknown
		a.Sentence += "; it has been silent: does it run?"
		a.Next = f.global("get pods -A")
	}
	return a
}

// misfits says for each volume why it is not the claim's.
func (f *Facts) misfits(c *corev1.PersistentVolumeClaim) []string {
	const most = 10
	var lines []string
	for _, pv := range f.Volumes {
		why := misfit(c, pv)
		if pv.Spec.ClaimRef != nil {
			why = fmt.Sprintf("taken by claim %s/%s", pv.Spec.ClaimRef.Namespace, pv.Spec.ClaimRef.Name)
		}
		if why == "" {
			continue
		}
		if len(lines) == most {
			return append(lines, "…")
		}
		lines = append(lines, pv.Name+": "+why)
	}
	return lines
}

// misfit is why a volume is not for the claim.
func misfit(c *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
	if pv.Spec.ClaimRef != nil && pv.Spec.ClaimRef.UID != "" && pv.Spec.ClaimRef.UID != c.UID {
		return fmt.Sprintf("it belongs to claim %s/%s", pv.Spec.ClaimRef.Namespace, pv.Spec.ClaimRef.Name)
	}
	for _, d := range demands {
		if text := d.misses(c, pv); text != "" {
			return text
		}
	}
	return ""
}

// demand is a field by which a claim picks a volume.
type demand struct {
	field  string
	misses func(*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) string
}

// demands are in the order in which volumes come nearer to a claim.
var demands = []demand{
	{"spec.storageClassName", func(c *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
		if class := volume.GetPersistentVolumeClass(pv); class != volume.GetPersistentVolumeClaimClass(c) {
			return fmt.Sprintf("its class is %q", class)
		}
		return ""
	}},
	{"spec.resources.requests.storage", func(c *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
		want, have := c.Spec.Resources.Requests[corev1.ResourceStorage], pv.Spec.Capacity[corev1.ResourceStorage]
		if have.Cmp(want) < 0 {
			return fmt.Sprintf("too small: %s, asked %s", &have, &want)
		}
		return ""
	}},
	{"spec.volumeMode", func(c *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
		return said(volume.CheckVolumeModeMismatches(&c.Spec, &pv.Spec), "another volumeMode")
	}},
	{"spec.accessModes", func(c *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
		return said(!volume.CheckAccessModes(c, pv), "other access modes")
	}},
	{"spec.selector", func(c *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) string {
		if c.Spec.Selector == nil {
			return ""
		}
		selector, err := metav1.LabelSelectorAsSelector(c.Spec.Selector)
		return said(err != nil || !selector.Matches(labels.Set(pv.Labels)), "it has not the labels that the selector asks for")
	}},
}

func said(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

// nearestMiss is the field of a claim by which it misses the volume that is
// nearest to it: one that nobody has, else of its class.
func (f *Facts) nearestMiss(c *corev1.PersistentVolumeClaim) string {
	nearest := 0
	for _, pv := range f.Volumes {
		i := slices.IndexFunc(demands, func(d demand) bool { return d.misses(c, pv) != "" })
		if i != 0 && pv.Spec.ClaimRef != nil {
			i = 1 // of its class, and taken: whatever else it is does not matter
		}
		nearest = max(nearest, i)
	}
	return demands[nearest].field
}
