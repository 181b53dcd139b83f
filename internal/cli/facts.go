package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/plan/why"
)

// why reads what may matter to an object and asks what it waits for.
func (c *connection) why(ctx context.Context, kind, name, namespace string) (why.Report, error) {
	cfg, err := c.config()
	if err != nil {
		return why.Report{}, err
	}
	namespace, err = c.namespace(namespace)
	if err != nil {
		return why.Report{}, err
	}
	f := &why.Facts{Kubectl: c.kubectl(), Name: namespace, Now: time.Now()}
	if err := gather(ctx, cfg, f); err != nil {
		return why.Report{}, err
	}
	return why.Ask(f, kind, name)
}

// gather fills facts about a namespace and the cluster around it. What may not be
// read is left out and noted.
func gather(ctx context.Context, cfg *rest.Config, f *why.Facts) error {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	g := gathering{ctx: ctx, facts: f}
	f.Namespace, err = client.CoreV1().Namespaces().Get(ctx, f.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("namespace %s does not exist", f.Name)
	case err != nil:
		f.Namespace = nil
		g.note("namespaces", err)
	}
	f.Pods = pick(&g, "pods", client.CoreV1().Pods(f.Name).List, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	g.namespaced(client)
	g.cluster(client)
	if slices.ContainsFunc(f.Pods, func(p *corev1.Pod) bool { return len(p.Spec.ImagePullSecrets) > 0 }) {
		g.secrets(cfg)
	}
	return g.err
}

// gathering reads lists until one fails for another reason than rights.
type gathering struct {
	ctx   context.Context
	facts *why.Facts
	err   error
}

func (g *gathering) note(what string, err error) {
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		g.facts.Unread = append(g.facts.Unread, what+": "+err.Error())
		return
	}
	if g.err == nil {
		g.err = fmt.Errorf("read %s: %w", what, err)
	}
}

// pick lists one kind; never nil unless it could not be read.
func pick[T, L any](g *gathering, what string, list func(context.Context, metav1.ListOptions) (L, error), items func(L) []T) []*T {
	return pickSome(g, what, metav1.ListOptions{}, list, items)
}

func pickSome[T, L any](g *gathering, what string, o metav1.ListOptions, list func(context.Context, metav1.ListOptions) (L, error), items func(L) []T) []*T {
	if g.err != nil {
		return nil
	}
	found, err := list(g.ctx, o)
	if err != nil {
		g.note(what, err)
		return nil
	}
	all := items(found)
	pointers := make([]*T, len(all))
	for i := range all {
		pointers[i] = &all[i]
	}
	return pointers
}

// secrets reads the names of Secrets, never what is in them.
func (g *gathering) secrets(cfg *rest.Config) {
	client, err := metadata.NewForConfig(cfg)
	if err != nil {
		g.err = err
		return
	}
	all := pick(g, "secrets", client.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(g.facts.Name).List,
		func(l *metav1.PartialObjectMetadataList) []metav1.PartialObjectMetadata { return l.Items })
	if all == nil {
		return
	}
	g.facts.Secrets = map[string]bool{}
	for _, s := range all {
		g.facts.Secrets[s.Name] = true
	}
}
