package dns

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/plan/corefile"
)

// ConfigMap is where, in kube-system, users look for the Corefile.
const ConfigMap = "coredns"

// made is the annotation with the Corefile as Berth wrote it: as long as it is
// what stands there, nobody has edited it.
const made = "berth.dev/default-corefile"

// EnsureCorefile makes the ConfigMap when there is none. What a user wrote is
// left alone; a default that is still as it was made follows the cluster's
// domain and Berth's version.
func EnsureCorefile(ctx context.Context, client kubernetes.Interface, domain string) error {
	maps, text := client.CoreV1().ConfigMaps(metav1.NamespaceSystem), corefile.Default(domain)
	is, err := maps.Get(ctx, ConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: ConfigMap, Annotations: map[string]string{made: text}},
			Data:       map[string]string{corefile.Name: text},
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	if was, ok := is.Annotations[made]; !ok || was == text || is.Data[corefile.Name] != was {
		return nil
	}
	is.Annotations[made], is.Data[corefile.Name] = text, text
	if _, err = maps.Update(ctx, is, metav1.UpdateOptions{}); apierrors.IsConflict(err) {
		return nil // somebody edits it now: it is theirs
	}
	return err
}
