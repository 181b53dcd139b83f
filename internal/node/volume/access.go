package volume

import (
	"context"
	"errors"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// access is how what a ref names is read, alike for all kinds.
type access struct {
	ref
	node   string
	client kubernetes.Interface
}

func (f *follows) access(r ref) access { return access{r, f.node, f.client} }

func (a access) options() metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: a.selectFields()}
}

// list returns the object, nil when there is none, and the version to watch from.
func (a access) list(ctx context.Context) (found *object, version string, err error) {
	switch a.kind {
	case trustBundle, trustBundles:
		return a.listBundles(ctx)
	case certificate:
		return a.listRequests(ctx)
	case claimKind:
		list, err := a.client.CoreV1().PersistentVolumeClaims(a.namespace).List(ctx, a.options())
		if err != nil {
			return nil, "", err
		}
		for i := range list.Items {
			if list.Items[i].Name == a.name {
				found = &object{version: list.Items[i].ResourceVersion}
			}
		}
		return found, list.ResourceVersion, nil
	}
	if a.kind == "secret" {
		list, err := a.client.CoreV1().Secrets(a.namespace).List(ctx, a.options())
		if err != nil {
			return nil, "", err
		}
		for i := range list.Items {
			if list.Items[i].Name == a.name {
				found = fromSecret(&list.Items[i])
			}
		}
		return found, list.ResourceVersion, nil
	}
	list, err := a.client.CoreV1().ConfigMaps(a.namespace).List(ctx, a.options())
	if err != nil {
		return nil, "", err
	}
	for i := range list.Items {
		if list.Items[i].Name == a.name {
			found = fromConfigMap(&list.Items[i])
		}
	}
	return found, list.ResourceVersion, nil
}

func (a access) watch(ctx context.Context, version string, seconds int64) (watch.Interface, error) {
	options := a.options()
	options.ResourceVersion = version
	options.TimeoutSeconds = &seconds
	options.AllowWatchBookmarks = true
	switch a.kind {
	case trustBundle, trustBundles, certificate:
		return a.watchCertificates(ctx, options)
	case claimKind:
		return a.client.CoreV1().PersistentVolumeClaims(a.namespace).Watch(ctx, options)
	case "secret":
		return a.client.CoreV1().Secrets(a.namespace).Watch(ctx, options)
	}
	return a.client.CoreV1().ConfigMaps(a.namespace).Watch(ctx, options)
}

// read understands one event; found is nil when the object was deleted.
func (a access) read(event watch.Event) (found *object, ours bool, err error) {
	switch event.Type {
	case watch.Error:
		return nil, false, apierrors.FromObject(event.Object)
	case watch.Bookmark:
		return nil, false, nil
	}
	var name string
	switch o := event.Object.(type) {
	case *corev1.Secret:
		name, found = o.Name, fromSecret(o)
	case *corev1.ConfigMap:
		name, found = o.Name, fromConfigMap(o)
	case *corev1.PersistentVolumeClaim:
		name, found = o.Name, &object{version: o.ResourceVersion}
	case *certificatesv1.PodCertificateRequest:
		name, found = o.Name, &object{version: o.ResourceVersion, request: &o.Status}
	case *certificatesv1.ClusterTrustBundle:
		if found, name, err = a.readBundle(o); err != nil {
			return nil, false, err
		}
	default:
		return nil, false, errors.New("the watch sent an object of another kind")
	}
	if event.Type == watch.Deleted {
		found = nil
	}
	return found, name == a.name, nil
}

func fromSecret(s *corev1.Secret) *object {
	return &object{version: s.ResourceVersion, immutable: s.Immutable != nil && *s.Immutable, data: s.Data}
}

func fromConfigMap(c *corev1.ConfigMap) *object {
	data := make(map[string][]byte, len(c.Data)+len(c.BinaryData))
	for key, value := range c.Data {
		data[key] = []byte(value)
	}
	for key, value := range c.BinaryData {
		data[key] = value
	}
	return &object{version: c.ResourceVersion, immutable: c.Immutable != nil && *c.Immutable, data: data}
}
