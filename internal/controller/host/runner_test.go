package host

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestPointless(t *testing.T) {
	ending := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "web-0", errors.New("unable to create new content in namespace old because it is being terminated"))
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "web-0", errors.New("exceeded quota"))
	ending.ErrStatus.Details.Causes = append(ending.ErrStatus.Details.Causes, metav1.StatusCause{Type: corev1.NamespaceTerminatingCause})
	for name, c := range map[string]struct {
		namespace string
		err       error
		want      bool
	}{
		"the namespace ends":               {"old", fmt.Errorf("StatefulSet old/web: %w", ending), true},
		"among other errors":               {"old", errors.Join(errors.New("status"), ending), true},
		"refused for another reason":       {"old", forbidden, false},
		"one of the namespaces of a class": {"", ending, false},
	} {
		t.Run(name, func(t *testing.T) {
			req := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: c.namespace, Name: "web"}}
			if got := pointless(req, c.err); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
