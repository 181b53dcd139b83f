package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// source is a ConfigMap or Secret.
type source struct {
	secret bool
	name   string
}

// sources are what a container's environment comes from.
func sources(c *corev1.Container) []source {
	var out []source
	for _, e := range c.EnvFrom {
		if e.ConfigMapRef != nil {
			out = append(out, source{false, e.ConfigMapRef.Name})
		}
		if e.SecretRef != nil {
			out = append(out, source{true, e.SecretRef.Name})
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			out = append(out, source{false, r.Name})
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			out = append(out, source{true, r.Name})
		}
	}
	return out
}

// awaitChange waits until one object is made or changed; false when ctx ended
// or the object cannot be watched.
func (a *Agent) awaitChange(ctx context.Context, namespace string, s source) bool {
	o := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", s.name).String()}
	var list func() (version string, err error)
	var follow func(metav1.ListOptions) (watch.Interface, error)
	if s.secret {
		client := a.cfg.Client.CoreV1().Secrets(namespace)
		list = func() (string, error) {
			l, err := client.List(ctx, o)
			if err != nil {
				return "", err
			}
			return l.ResourceVersion, nil
		}
		follow = func(o metav1.ListOptions) (watch.Interface, error) { return client.Watch(ctx, o) }
	} else {
		client := a.cfg.Client.CoreV1().ConfigMaps(namespace)
		list = func() (string, error) {
			l, err := client.List(ctx, o)
			if err != nil {
				return "", err
			}
			return l.ResourceVersion, nil
		}
		follow = func(o metav1.ListOptions) (watch.Interface, error) { return client.Watch(ctx, o) }
	}
	version, err := list()
	if err != nil {
		return false
	}
	o.ResourceVersion = version
	events, err := follow(o)
	if err != nil {
		return false
	}
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case ev, ok := <-events.ResultChan():
			if !ok {
				return false
			}
			if ev.Type == watch.Added || ev.Type == watch.Modified {
				return true
			}
		}
	}
}
