package admissionregistration

import (
	"context"
	"fmt"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/kind"
)

var specPath = field.NewPath("spec")

func checkMeta(m *metav1.ObjectMeta) field.ErrorList {
	return apivalidation.ValidateObjectMeta(m, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
}

// reservedSuffix marks what comes from files instead of from the API.
const reservedSuffix = ".static.k8s.io"

var isReserved = fmt.Sprintf("names ending with %q are reserved for static manifest-based configurations and cannot be managed via the API", reservedSuffix)

func reserved(name string) field.ErrorList {
	if !strings.HasSuffix(name, reservedSuffix) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), name, isReserved)}
}

// warnReserved speaks up on update only: a new object of that name is refused.
func warnReserved[T kind.Object](_ context.Context, o, old T) []string {
	var none T
	if any(old) == any(none) || !strings.HasSuffix(o.GetName(), reservedSuffix) {
		return nil
	}
	return []string{"metadata.name: " + isReserved}
}
