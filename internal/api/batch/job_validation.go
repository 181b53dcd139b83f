package batch

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

// Bounds that keep the lists of indexes in the status small.
const (
	mostParallel      = 100_000
	mostFailedIndexes = 100_000
	manyCompletions   = 100_000
	parallelismOfMany = 10_000
	failedOfMany      = 10_000
	longestManagedBy  = 63
)

func validateJob(j *batchv1.Job) field.ErrorList {
	return checkJob(j, true, metavalidation.LabelSelectorValidationOptions{})
}

// checkJob checks a new or changed job. Jobs from before the prefixed labels
// need not have those.
func checkJob(j *batchv1.Job, prefixed bool, lenient metavalidation.LabelSelectorValidationOptions) field.ErrorList {
	var f validation.Findings
	f.Meta(&j.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	generatedSelector(&f, j, prefixed)
	jobSpec(&f, &j.Spec, lenient)
	if n := j.Spec.Completions; indexed(&j.Spec) && n != nil && *n > 0 {
		// The last pod has the longest hostname.
		last := fmt.Sprintf("%s-%d", j.Name, *n-1)
		if len(utilvalidation.IsDNS1123Label(last)) > 0 {
			f.Invalid(field.NewPath("metadata", "name"), j.Name, "will not able to create pod with invalid DNS label: "+last)
		}
	}
	return f.List()
}

// generatedSelector checks that the selector and the labels are those that the
// server has made, even if the user wrote some of them.
func generatedSelector(f *validation.Findings, j *batchv1.Job, prefixed bool) {
	if manual(&j.Spec) || j.Spec.Selector == nil {
		return
	}
	if j.UID == "" {
		f.Required(field.NewPath("metadata", "uid"), "")
	}
	wanted := []struct{ label, value string }{{oldControllerUID, string(j.UID)}, {oldJobName, j.Name}}
	if prefixed {
		wanted = append(wanted, []struct{ label, value string }{
			{batchv1.ControllerUidLabel, string(j.UID)}, {batchv1.JobNameLabel, j.Name},
		}...)
	}
	expected := labels.Set{}
	for _, w := range wanted {
		expected[w.label] = w.value
		p := spec.Child("template", "metadata", "labels").Key(w.label)
		if value, ok := j.Spec.Template.Labels[w.label]; !ok {
			f.Required(p, "must be '"+w.value+"'")
		} else if value != w.value {
			f.Invalid(p, j.Spec.Template.Labels, "must be '"+w.value+"'")
		}
	}
	if s, err := metav1.LabelSelectorAsSelector(j.Spec.Selector); err == nil && !s.Matches(expected) {
		f.Invalid(spec.Child("selector"), j.Spec.Selector, "`selector` not auto-generated")
	}
}

func jobSpec(f *validation.Findings, s *batchv1.JobSpec, lenient metavalidation.LabelSelectorValidationOptions) {
	jobParts(f, spec, s)
	if s.Selector == nil {
		f.Required(spec.Child("selector"), "")
	} else {
		f.Add(metavalidation.ValidateLabelSelector(s.Selector, lenient, spec.Child("selector"))...)
	}
	if selector, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !selector.Matches(labels.Set(s.Template.Labels)) {
		f.Invalid(spec.Child("template", "metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`")
	}
}

// jobParts checks what jobs and templates of jobs have in common.
func jobParts(f *validation.Findings, p *field.Path, s *batchv1.JobSpec) {
	f.OptionalCount(p.Child("parallelism"), s.Parallelism)
	f.OptionalCount(p.Child("completions"), s.Completions)
	if n := s.ActiveDeadlineSeconds; n != nil {
		f.NotNegative(p.Child("activeDeadlineSeconds"), *n)
	}
	f.OptionalCount(p.Child("backoffLimit"), s.BackoffLimit)
	f.OptionalCount(p.Child("ttlSecondsAfterFinished"), s.TTLSecondsAfterFinished)
	f.OptionalCount(p.Child("backoffLimitPerIndex"), s.BackoffLimitPerIndex)
	f.OptionalCount(p.Child("maxFailedIndexes"), s.MaxFailedIndexes)
	if s.MaxFailedIndexes != nil && s.BackoffLimitPerIndex == nil {
		f.Required(p.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified")
	}
	if by := s.ManagedBy; by != nil {
		f.Add(utilvalidation.IsDomainPrefixedPath(p.Child("managedBy"), *by)...)
		if len(*by) > longestManagedBy {
			f.Add(field.TooLong(p.Child("managedBy"), "", longestManagedBy))
		}
	}
	completionMode(f, p, s)
	if s.PodFailurePolicy != nil {
		podFailurePolicy(f, p.Child("podFailurePolicy"), s)
	}
	if s.SuccessPolicy != nil {
		if indexed(s) {
			successPolicy(f, p.Child("successPolicy"), s)
		} else {
			f.Invalid(p.Child("successPolicy"), *s.SuccessPolicy, "requires indexed completion mode")
		}
	}
	if r := s.PodReplacementPolicy; r != nil {
		allowed := []batchv1.PodReplacementPolicy{batchv1.Failed, batchv1.TerminatingOrFailed}
		if s.PodFailurePolicy != nil {
			allowed = allowed[:1]
		}
		validation.Among(f, p.Child("podReplacementPolicy"), *r, allowed...)
	}
	f.PodTemplate(p.Child("template"), &s.Template)
	jobRestartPolicy(f, p.Child("template", "spec", "restartPolicy"), s)
}

// jobRestartPolicy refuses Always, which may be the user's or the default.
func jobRestartPolicy(f *validation.Findings, p *field.Path, s *batchv1.JobSpec) {
	allowed := []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}
	switch r := s.Template.Spec.RestartPolicy; {
	case r == corev1.RestartPolicyAlways || r == "":
		f.Required(p, fmt.Sprintf("valid values: %q, %q", allowed[0], allowed[1]))
	case !slices.Contains(allowed, r):
		f.Add(field.NotSupported(p, r, allowed))
	case s.PodFailurePolicy != nil && r != corev1.RestartPolicyNever:
		f.Invalid(p, r, fmt.Sprintf("only %q is supported when podFailurePolicy is specified", corev1.RestartPolicyNever))
	}
}

func completionMode(f *validation.Findings, p *field.Path, s *batchv1.JobSpec) {
	if m := s.CompletionMode; m != nil {
		validation.Among(f, p.Child("completionMode"), *m, batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)
	}
	if indexed(s) {
		indexedJob(f, p, s)
		return
	}
	if s.CompletionMode != nil && *s.CompletionMode != batchv1.NonIndexedCompletion {
		return
	}
	if n := s.BackoffLimitPerIndex; n != nil {
		f.Invalid(p.Child("backoffLimitPerIndex"), *n, "requires indexed completion mode")
	}
	if n := s.MaxFailedIndexes; n != nil {
		f.Invalid(p.Child("maxFailedIndexes"), *n, "requires indexed completion mode")
	}
}

func indexedJob(f *validation.Findings, p *field.Path, s *batchv1.JobSpec) {
	parallel, completions, failed := s.Parallelism, s.Completions, s.MaxFailedIndexes
	tooMany := func(name string, n *int32, most int32, when string) {
		if n != nil && *n > most {
			f.Invalid(p.Child(name), *n, fmt.Sprintf("must be less than or equal to %d%s", most, when))
		}
	}
	if completions == nil {
		f.Required(p.Child("completions"), "when completion mode is Indexed")
	}
	tooMany("parallelism", parallel, mostParallel, " when completion mode is Indexed")
	if completions != nil && failed != nil && *failed > *completions {
		f.Invalid(p.Child("maxFailedIndexes"), *failed, "must be less than or equal to completions")
	}
	tooMany("maxFailedIndexes", failed, mostFailedIndexes, "")
	if completions == nil || *completions <= manyCompletions || s.BackoffLimitPerIndex == nil {
		return
	}
	if failed == nil {
		f.Required(p.Child("maxFailedIndexes"), fmt.Sprintf("must be specified when completions is above %d", manyCompletions))
	}
	when := fmt.Sprintf(" when completions are above %d and used with backoff limit per index", manyCompletions)
	tooMany("parallelism", parallel, parallelismOfMany, when)
	tooMany("maxFailedIndexes", failed, failedOfMany, when)
}
