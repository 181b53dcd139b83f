package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// systemNamespaces exist in every cluster.
var systemNamespaces = []string{
	metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease,
}

// Namespaces creates the system namespaces that the informers of f, which must
// have synced, do not know.
func Namespaces(ctx context.Context, client kubernetes.Interface, f informers.SharedInformerFactory) error {
	known := f.Core().V1().Namespaces().Lister()
	errs := make([]error, len(systemNamespaces))
	var wait sync.WaitGroup
	for i, name := range systemNamespaces {
		if _, err := known.Get(name); err == nil {
			continue
		}
		wait.Go(func() {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
			_, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				errs[i] = fmt.Errorf("creating namespace %s: %w", name, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
