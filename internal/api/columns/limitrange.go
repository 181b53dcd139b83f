package columns

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LimitRange are the columns of a kind that upstream has none for.
var LimitRange = definitions{
	name(),
	column("Created At", "date", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]),
}

// LimitRangeRow prints a LimitRange.
func LimitRangeRow(l *corev1.LimitRange) []any {
	return []any{l.Name, l.CreationTimestamp.UTC().Format(time.RFC3339)}
}
