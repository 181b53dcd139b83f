package authn

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Objects finds what a token is bound to.
type Objects interface {
	ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	Node(ctx context.Context, name string) (*corev1.Node, error)
}

// LiveObjects finds them in the store, and can label a Secret.
type LiveObjects interface {
	Objects
	LabelSecret(ctx context.Context, secret *corev1.Secret, label, value string) error
}

// Live reads objects from the API.
func Live(client kubernetes.Interface) LiveObjects { return live{client} }

type live struct{ client kubernetes.Interface }

func (l live) ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return l.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (l live) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return l.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (l live) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return l.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (l live) LabelSecret(ctx context.Context, secret *corev1.Secret, label, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": secret.UID, "labels": map[string]string{label: value}}})
	if err != nil {
		return err
	}
	_, err = l.client.CoreV1().Secrets(secret.Namespace).Patch(ctx, secret.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

func (l live) Node(ctx context.Context, name string) (*corev1.Node, error) {
	return l.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
}

// Cached reads service accounts, pods and nodes from shared informers. It has
// no secrets: they are read live, and seldom.
func Cached(f informers.SharedInformerFactory) Objects {
	core := f.Core().V1()
	return cached{core.ServiceAccounts().Lister(), core.Pods().Lister(), core.Nodes().Lister()}
}

type cached struct {
	accounts corelisters.ServiceAccountLister
	pods     corelisters.PodLister
	nodes    corelisters.NodeLister
}

func (c cached) ServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return c.accounts.ServiceAccounts(namespace).Get(name)
}

func (c cached) Pod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return c.pods.Pods(namespace).Get(name)
}

func (c cached) Secret(_ context.Context, _, name string) (*corev1.Secret, error) {
	return nil, errors.NewNotFound(corev1.Resource("secrets"), name)
}

func (c cached) Node(_ context.Context, name string) (*corev1.Node, error) {
	return c.nodes.Get(name)
}
