package batch

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

// validateJobUpdate finds what is wrong with the spec twice, as upstream does:
// once as of a new job and once as of the change.
func validateJobUpdate(j, old *batchv1.Job) field.ErrorList {
	_, named := old.Spec.Template.Labels[batchv1.JobNameLabel]
	_, numbered := old.Spec.Template.Labels[batchv1.ControllerUidLabel]
	lenient := metavalidation.LabelSelectorValidationOptions{
		AllowInvalidLabelValueInSelector: metavalidation.LabelSelectorHasInvalidLabelValue(old.Spec.Selector),
	}
	var f validation.Findings
	f.Add(checkJob(j, named && numbered, lenient)...)
	f.MetaUpdate(&j.ObjectMeta, &old.ObjectMeta)
	s, was := &j.Spec, &old.Spec
	jobSpec(&f, s, lenient)
	completions(&f, s, was)
	f.Immutable(spec.Child("selector"), s.Selector, was.Selector)
	jobTemplate(&f, j, old)
	f.Immutable(spec.Child("completionMode"), s.CompletionMode, was.CompletionMode)
	f.Immutable(spec.Child("podFailurePolicy"), s.PodFailurePolicy, was.PodFailurePolicy)
	f.Immutable(spec.Child("backoffLimitPerIndex"), s.BackoffLimitPerIndex, was.BackoffLimitPerIndex)
	f.Immutable(spec.Child("managedBy"), s.ManagedBy, was.ManagedBy)
	f.Immutable(spec.Child("successPolicy"), s.SuccessPolicy, was.SuccessPolicy)
	return f.List()
}

// completions lets indexed jobs grow and shrink with their parallelism.
func completions(f *validation.Findings, s, old *batchv1.JobSpec) {
	p := spec.Child("completions")
	if !indexed(s) {
		f.Immutable(p, s.Completions, old.Completions)
		return
	}
	if equality.Semantic.DeepEqual(s.Completions, old.Completions) || s.Completions == nil {
		return
	}
	if s.Parallelism == nil || *s.Completions != *s.Parallelism {
		f.Invalid(p, *s.Completions, "can only be modified in tandem with spec.parallelism")
	}
}

// jobTemplate lets a suspended job without pods change where its pods go and
// what resources they get; nothing else of a template ever changes.
func jobTemplate(f *validation.Findings, j, old *batchv1.Job) {
	p := spec.Child("template")
	if !resting(old) {
		f.Immutable(p, &j.Spec.Template, &old.Spec.Template)
		return
	}
	now, was := &j.Spec.Template.Spec, placedAs(&j.Spec.Template, &old.Spec.Template)
	resourcesAs(now.Containers, was.Containers)
	resourcesAs(now.InitContainers, was.InitContainers)
	f.Immutable(field.NewPath("spec", "template.spec"), *now, *was)
}

// resting says whether a job has no pods and will make none by itself.
func resting(j *batchv1.Job) bool {
	suspended := j.Spec.Suspend != nil && *j.Spec.Suspend
	return suspended && (j.Status.StartTime == nil || isTrue(j, batchv1.JobSuspended)) && j.Status.Active == 0
}

// placedAs is the spec of old with the scheduling directives of t.
func placedAs(t, old *corev1.PodTemplateSpec) *corev1.PodSpec {
	was := old.Spec.DeepCopy()
	now := &t.Spec
	switch {
	case now.Affinity == nil && was.Affinity != nil:
		was.Affinity.NodeAffinity = nil
		if *was.Affinity == (corev1.Affinity{}) {
			was.Affinity = nil
		}
	case now.Affinity != nil && was.Affinity == nil:
		was.Affinity = &corev1.Affinity{NodeAffinity: now.Affinity.NodeAffinity}
	case now.Affinity != nil:
		was.Affinity.NodeAffinity = now.Affinity.NodeAffinity
	}
	was.NodeSelector, was.Tolerations, was.SchedulingGates = now.NodeSelector, now.Tolerations, now.SchedulingGates
	return was
}

func resourcesAs(now, was []corev1.Container) {
	if len(now) != len(was) {
		return
	}
	for i := range now {
		if now[i].Name == was[i].Name {
			was[i].Resources = now[i].Resources
		}
	}
}
