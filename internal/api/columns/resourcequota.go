package columns

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ResourceQuota are the columns of a ResourceQuota.
var ResourceQuota = definitions{
	name(),
	column("Request", "string", "Request represents a minimum amount of cpu/memory that a container may consume."),
	column("Limit", "string", "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."),
	ageColumn(),
}

// ResourceQuotaRow prints a ResourceQuota.
func ResourceQuotaRow(q *corev1.ResourceQuota) []any {
	var all []corev1.ResourceName
	for r := range q.Status.Hard {
		all = append(all, r)
	}
	slices.Sort(all)
	var requests, limits []string
	for _, r := range all {
		used, hard := q.Status.Used[r], q.Status.Hard[r]
		text := fmt.Sprintf("%s: %s/%s", r, used.String(), hard.String())
		if strings.HasPrefix(string(r), "limits.") {
			limits = append(limits, text)
		} else {
			requests = append(requests, text)
		}
	}
	return []any{q.Name, strings.Join(requests, ", "), strings.Join(limits, ", "), age(q.CreationTimestamp)}
}
