package validation

import (
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// StatefulSet checks a new set.
func StatefulSet(set *appsv1.StatefulSet) field.ErrorList {
	c := podCheck{}
	c.meta(&set.ObjectMeta, true, apivalidation.NameIsDNSLabel)
	c.setName(set.Name)
	c.statefulSet(&set.Spec)
	c.setTemplate(&set.Spec)
	if n := set.Spec.ServiceName; n != "" {
		c.dnsLabel(specPath.Child("serviceName"), n)
	}
	for i := range set.Spec.VolumeClaimTemplates {
		c.claimTemplate(i, &set.Spec.VolumeClaimTemplates[i])
	}
	return c.list
}

// longestSetName leaves room for an ordinal of two digits in a pod's name, which
// is its host name and a label too.
const longestSetName = 60

// setName refuses a name that no pod could be made with. Upstream accepts it and
// fails at each pod.
func (f *findings) setName(name string) {
	if n := len(name); n > longestSetName && n <= validation.DNS1123LabelMaxLength {
		f.invalid(metaPath.Child("name"), name, fmt.Sprintf(
			"must be no more than %d characters: its pods are called by it and their ordinal, and a host name and a label have no more than %d",
			longestSetName, validation.DNS1123LabelMaxLength))
	}
}

// statefulSet checks what may change, and must be right after each change.
func (f *findings) statefulSet(s *appsv1.StatefulSetSpec) {
	p := specPath
	switch s.PodManagementPolicy {
	case "":
		f.required(p.Child("podManagementPolicy"), "")
	case appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement:
	default:
		f.invalid(p.Child("podManagementPolicy"), s.PodManagementPolicy, "must be 'OrderedReady' or 'Parallel'")
	}
	f.setStrategy(p.Child("updateStrategy"), &s.UpdateStrategy)
	if r := s.PersistentVolumeClaimRetentionPolicy; r != nil {
		p := p.Child("persistentVolumeClaimRetentionPolicy")
		for name, policy := range map[string]appsv1.PersistentVolumeClaimRetentionPolicyType{
			"whenDeleted": r.WhenDeleted, "whenScaled": r.WhenScaled,
		} {
			among(f, p.Child(name), policy,
				appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType)
		}
	}
	if s.Replicas != nil {
		f.notNegative(p.Child("replicas"), int64(*s.Replicas))
	}
	f.notNegative(p.Child("minReadySeconds"), int64(s.MinReadySeconds))
	if s.Ordinals != nil {
		f.notNegative(p.Child("ordinals.start"), int64(s.Ordinals.Start))
	}
	if s.Selector == nil {
		f.required(p.Child("selector"), "")
		return
	}
	f.selector(s.Selector, p.Child("selector"))
	if len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) == 0 {
		f.invalid(p.Child("selector"), s.Selector, "empty selector is invalid for statefulset")
	}
}

func (f *findings) setStrategy(p *field.Path, u *appsv1.StatefulSetUpdateStrategy) {
	rolling := p.Child("rollingUpdate")
	switch u.Type {
	case "":
		f.required(p, "")
	case appsv1.OnDeleteStatefulSetStrategyType, appsv1.RecreateStatefulSetStrategyType:
		if u.RollingUpdate != nil {
			f.invalid(rolling, u.RollingUpdate, "only allowed for updateStrategy 'RollingUpdate'")
		}
	case appsv1.RollingUpdateStatefulSetStrategyType:
		if u.RollingUpdate == nil {
			return
		}
		if n := u.RollingUpdate.Partition; n != nil {
			f.notNegative(rolling.Child("partition"), int64(*n))
		}
		if m := u.RollingUpdate.MaxUnavailable; m != nil {
			f.maxUnavailable(rolling.Child("maxUnavailable"), *m)
		}
	default:
		f.invalid(p, u, "must be 'RollingUpdate', 'OnDelete', or 'Recreate'")
	}
}

func (f *findings) maxUnavailable(p *field.Path, m intstr.IntOrString) {
	percent := 0
	switch {
	case m.Type == intstr.Int:
		f.notNegative(p, int64(m.IntVal))
	case len(validation.IsValidPercent(m.StrVal)) > 0:
		f.messages(p, m, validation.IsValidPercent(m.StrVal))
	default:
		percent, _ = strconv.Atoi(strings.TrimSuffix(m.StrVal, "%"))
		if percent > 100 {
			f.invalid(p, m, "must not be greater than 100%")
		}
	}
	if m.Type == intstr.Int && m.IntVal == 0 || m.Type == intstr.String && percent == 0 {
		f.invalid(p, m, "cannot be 0")
	}
}

// setTemplate checks the template as the pods will be: with the claim templates
// as volumes, and without the names that the controller replaces.
func (c *podCheck) setTemplate(s *appsv1.StatefulSetSpec) {
	p := specPath.Child("template")
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	if err != nil {
		c.invalid(specPath.Child("selector"), s.Selector, "")
	} else {
		if !selector.Empty() && !selector.Matches(labels.Set(s.Template.Labels)) {
			c.invalid(p.Child("metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`")
		}
		c.template(p, asPods(s))
	}
	if s.Template.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		c.add(field.NotSupported(p.Child("spec", "restartPolicy"), s.Template.Spec.RestartPolicy,
			[]corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if s.Template.Spec.ActiveDeadlineSeconds != nil {
		c.forbidden(p.Child("spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in StatefulSet is not Supported")
	}
}

func asPods(s *appsv1.StatefulSetSpec) *corev1.PodTemplateSpec {
	t := s.Template // what follows replaces fields of the copy, never shares
	t.Spec.Hostname, t.Spec.Subdomain = "", ""
	if len(s.VolumeClaimTemplates) == 0 {
		return &t
	}
	claimed := names{}
	volumes := make([]corev1.Volume, 0, len(s.VolumeClaimTemplates)+len(t.Spec.Volumes))
	for i := range s.VolumeClaimTemplates {
		name := s.VolumeClaimTemplates[i].Name
		claimed.use(name)
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}})
	}
	for i := range t.Spec.Volumes {
		if !claimed.has(t.Spec.Volumes[i].Name) {
			volumes = append(volumes, t.Spec.Volumes[i])
		}
	}
	t.Spec.Volumes = volumes
	return &t
}

// StatefulSetUpdate checks a change of a set.
func StatefulSetUpdate(set, old *appsv1.StatefulSet) field.ErrorList {
	c := podCheck{}
	c.metaUpdate(&set.ObjectMeta, &old.ObjectMeta)
	s, was := &set.Spec, &old.Spec
	c.statefulSet(s)
	// A template that was accepted once, wrong as it may be, does not keep its
	// set from being changed.
	before := podCheck{}
	before.setTemplate(was)
	if len(before.list) == 0 {
		c.setTemplate(s)
	}
	c.fixed(specPath.Child("selector"), s.Selector, was.Selector)
	c.claimTemplates(s.VolumeClaimTemplates, was.VolumeClaimTemplates)
	c.fixed(specPath.Child("serviceName"), s.ServiceName, was.ServiceName)
	return c.list
}

func (f *findings) fixed(p *field.Path, value, old any) {
	if !equality.Semantic.DeepEqual(value, old) {
		f.add(field.Invalid(p, value, fieldIsImmutable).WithOrigin("immutable"))
	}
}

// StatefulSetStatusUpdate checks a change of a set's status.
func StatefulSetStatusUpdate(set, old *appsv1.StatefulSet) field.ErrorList {
	var f findings
	s, p := &set.Status, statusPath
	counts := []struct {
		name string
		n    int32
	}{
		{"replicas", s.Replicas},
		{"readyReplicas", s.ReadyReplicas},
		{"currentReplicas", s.CurrentReplicas},
		{"updatedReplicas", s.UpdatedReplicas},
		{"availableReplicas", s.AvailableReplicas},
	}
	for _, c := range counts {
		f.notNegative(p.Child(c.name), int64(c.n))
	}
	f.notNegative(p.Child("observedGeneration"), s.ObservedGeneration)
	if s.CollisionCount != nil {
		f.notNegative(p.Child("collisionCount"), int64(*s.CollisionCount))
	}
	for _, c := range counts[1:] {
		if c.n > s.Replicas {
			f.invalid(p.Child(c.name), c.n, "cannot be greater than status.replicas")
		}
	}
	if s.AvailableReplicas > s.ReadyReplicas {
		f.invalid(p.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than status.readyReplicas")
	}
	f.metaUpdate(&set.ObjectMeta, &old.ObjectMeta)
	if was := old.Status.CollisionCount; was != nil {
		is := int32(0)
		if s.CollisionCount != nil {
			is = *s.CollisionCount
		}
		if s.CollisionCount == nil || is < *was {
			f.invalid(p.Child("collisionCount"), is, "cannot be decremented")
		}
	}
	return f.list
}

// ControllerRevision checks a new revision.
func ControllerRevision(r *appsv1.ControllerRevision) field.ErrorList {
	var f findings
	f.controllerRevision(r)
	return f.list
}

func (f *findings) controllerRevision(r *appsv1.ControllerRevision) {
	f.meta(&r.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	data := field.NewPath("data")
	raw := r.Data.Raw
	switch {
	case raw == nil && r.Data.Object == nil:
		f.required(data, "data is mandatory")
	case raw != nil && !jsonObject(raw):
		f.invalid(data, "<value omitted>", "data must be a valid JSON object")
	}
	f.notNegative(field.NewPath("revision"), r.Revision)
}

// ControllerRevisionUpdate checks a change of a revision.
func ControllerRevisionUpdate(r, old *appsv1.ControllerRevision) field.ErrorList {
	var f findings
	f.metaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	f.controllerRevision(r)
	if !equality.Semantic.DeepEqual(r.Data, old.Data) {
		f.invalid(field.NewPath("data"), fmt.Sprintf("%d bytes", len(r.Data.Raw)), fieldIsImmutable)
	}
	return f.list
}
