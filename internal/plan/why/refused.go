package why

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Refused says why the API server does not accept an object, from its message.
func Refused(f *Facts, object, message string) Answer {
	a := Answer{Object: object, Passes: No, Sentence: fmt.Sprintf("%s is refused: %s", object, brief(message))}
	kind, name, _ := strings.Cut(object, "/")
	switch {
	case strings.Contains(message, "exceeded quota: "):
		a.Reason = QuotaExceeded
		f.quota(message, &a)
	case strings.Contains(message, "is being terminated"):
		a.Reason = NamespaceTerminating
		a.Next = f.global("get namespace %s -o jsonpath='{.status.conditions}'", f.Name)
	case strings.Contains(message, "field is immutable"), strings.Contains(message, "may not change fields other than"),
		strings.Contains(message, "for fields other than"):
		a.Reason = ImmutableField
		a.Details = immutable(message)
		a.Next = f.command("get %s %s -o yaml", kind, name)
		switch {
		case kind == "statefulset":
			a.Next = f.command("delete statefulset %s --cascade=orphan", name) + "   # pods and claims stay; the new set takes them over"
		case kind == "pod" && strings.Contains(message, "may not change fields other than"):
			a.Next = f.command("delete pod %s", name) + "   # it is made anew as it shall be"
		}
	case strings.Contains(message, "already exists"):
		a.Reason = OwnerConflict
		a.Next = f.command("get %s %s -o yaml", kind, name)
	case strings.Contains(message, " is invalid: "):
		a.Reason = InvalidObject
		a.Next = f.command("explain %s", kind)
	default:
		a.Reason = AdmissionRefuses
		a.Next = f.admission(message)
	}
	return a
}

// immutable are the fields that a message says may not change.
func immutable(message string) []string {
	var fields []string
	for _, m := range immutableField.FindAllStringSubmatch(message, -1) {
		fields = append(fields, m[1]+" may not change")
	}
	return fields
}

var immutableField = regexp.MustCompile(`([a-z][A-Za-z0-9.\[\]]*): (?:Invalid value|Forbidden).*?: field is immutable`)

// admission is the command that shows who refuses.
func (f *Facts) admission(message string) string {
	if hook, ok := between(message, `admission webhook "`, `"`); ok {
		return f.global("get validatingwebhookconfigurations,mutatingwebhookconfigurations") + "   # the one that has " + hook
	}
	if policy, ok := between(message, `ValidatingAdmissionPolicy '`, `'`); ok {
		return f.global("get validatingadmissionpolicy %s -o yaml", policy)
	}
	if account, ok := between(message, `: serviceaccount "`, `" not found`); ok {
		return f.command("create serviceaccount %s", account)
	}
	if strings.Contains(message, "violates PodSecurity") {
		return f.global("get namespace %s --show-labels", f.Name) + "   # pod-security.kubernetes.io/enforce"
	}
	return f.command("get events --sort-by=.lastTimestamp")
}

// quota names the quota and raises it as far as is asked.
func (f *Facts) quota(message string, a *Answer) {
	_, rest, _ := strings.Cut(message, "exceeded quota: ")
	parts := strings.SplitN(rest, ", ", 2)
	name := parts[0]
	a.Next = f.command("describe resourcequota %s", name)
	if len(parts) < 2 {
		return
	}
	requested, used, limited := amounts(rest, "requested: "), amounts(rest, "used: "), amounts(rest, "limited: ")
	var raised []string
	for _, r := range slices.Sorted(maps.Keys(limited)) {
		need, err := resource.ParseQuantity(used[r])
		if err != nil {
			return
		}
		more, err := resource.ParseQuantity(requested[r])
		if err != nil {
			return
		}
		need.Add(more)
		raised = append(raised, fmt.Sprintf("%q:%q", r, need.String()))
		a.Details = append(a.Details, fmt.Sprintf("%s: asked %s, used %s of %s", r, requested[r], used[r], limited[r]))
	}
	if len(raised) > 0 {
		a.Next = f.command(`patch resourcequota %s --type=merge -p '{"spec":{"hard":{%s}}}'`, name, strings.Join(raised, ","))
	}
}

// amounts reads "word: a=1,b=2, ".
func amounts(text, word string) map[string]string {
	all := map[string]string{}
	_, rest, ok := strings.Cut(text, word)
	if !ok {
		return all
	}
	rest, _, _ = strings.Cut(rest, ", ")
	for pair := range strings.SplitSeq(rest, ",") {
		if key, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
			all[key] = value
		}
	}
	return all
}
