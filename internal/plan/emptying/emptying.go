// Package emptying writes down, in a terminating namespace's conditions, what
// still has to go before the namespace can.
package emptying

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Found is what a sweep over the namespace saw.
type Found struct {
	// Remaining counts objects by "resource.group".
	Remaining map[string]int
	// Finalizers counts objects by the finalizers that hold them.
	Finalizers map[string]int
	// Discovery is why some kinds could not be found out.
	Discovery error
	// Failures are deletions that failed.
	Failures []error
}

// Done says that nothing is left.
func (f Found) Done() bool {
	return len(f.Remaining) == 0 && len(f.Failures) == 0 && f.Discovery == nil
}

// Conditions returns the conditions with what was found, and whether they
// differ from those that the namespace has.
func Conditions(have []corev1.NamespaceCondition, f Found, now metav1.Time) ([]corev1.NamespaceCondition, bool) {
	next, changed := slices.Clone(have), false
	for _, want := range wanted(f) {
		want.LastTransitionTime = now
		i := slices.IndexFunc(next, func(c corev1.NamespaceCondition) bool { return c.Type == want.Type })
		switch {
		case i < 0:
			next, changed = append(next, want), true
		case next[i].Status != want.Status || next[i].Reason != want.Reason || next[i].Message != want.Message:
			if next[i].Status == want.Status {
				want.LastTransitionTime = next[i].LastTransitionTime
			}
			next[i], changed = want, true
		}
	}
	return next, changed
}

func wanted(f Found) []corev1.NamespaceCondition {
	condition := func(t corev1.NamespaceConditionType, status corev1.ConditionStatus, reason, message string) corev1.NamespaceCondition {
		return corev1.NamespaceCondition{Type: t, Status: status, Reason: reason, Message: message}
	}
	discovery := condition(corev1.NamespaceDeletionDiscoveryFailure, corev1.ConditionFalse,
		"ResourcesDiscovered", "All resources successfully discovered")
	if f.Discovery != nil {
		discovery = condition(corev1.NamespaceDeletionDiscoveryFailure, corev1.ConditionTrue, "DiscoveryFailed", f.Discovery.Error())
	}
	content := condition(corev1.NamespaceDeletionContentFailure, corev1.ConditionFalse,
		"ContentDeleted", "All content successfully deleted, may be waiting on finalization")
	if len(f.Failures) > 0 {
		content = condition(corev1.NamespaceDeletionContentFailure, corev1.ConditionTrue, "ContentDeletionFailed",
			fmt.Sprintf("Failed to delete all resource types, %d remaining: %s", len(f.Failures), failures(f.Failures)))
	}
	remaining := condition(corev1.NamespaceContentRemaining, corev1.ConditionFalse, "ContentRemoved", "All content successfully removed")
	if len(f.Remaining) > 0 {
		remaining = condition(corev1.NamespaceContentRemaining, corev1.ConditionTrue, "SomeResourcesRemain",
			"Some resources are remaining: "+counts(f.Remaining, "%s has %d resource instances"))
	}
	finalizers := condition(corev1.NamespaceFinalizersRemaining, corev1.ConditionFalse,
		"ContentHasNoFinalizers", "All content-preserving finalizers finished")
	if len(f.Finalizers) > 0 {
		finalizers = condition(corev1.NamespaceFinalizersRemaining, corev1.ConditionTrue, "SomeFinalizersRemain",
			"Some content in the namespace has finalizers remaining: "+counts(f.Finalizers, "%s in %d resource instances"))
	}
	return []corev1.NamespaceCondition{
		discovery,
		condition(corev1.NamespaceDeletionGVParsingFailure, corev1.ConditionFalse, "ParsedGroupVersions", "All legacy kube types successfully parsed"),
		content, remaining, finalizers,
	}
}

func counts(m map[string]int, format string) string {
	parts := make([]string, 0, len(m))
	for name, n := range m {
		parts = append(parts, fmt.Sprintf(format, name, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func failures(errs []error) string {
	parts := make([]string, 0, len(errs))
	for _, err := range errs {
		parts = append(parts, err.Error())
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
