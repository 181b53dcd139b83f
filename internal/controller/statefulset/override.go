package statefulset

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/statefulset/override"
)

// overrides reads the patches that the set asks for. problem says why they
// cannot be read, err that they could not be looked up.
func (s *pass) overrides(ctx context.Context) (set override.Set, problem string, err error) {
	name := asksFor(s.set).Overrides
	if name == "" {
		return override.Set{}, "", nil
	}
	found := &corev1.ConfigMap{}
	err = s.env.Cache.Get(ctx, client.ObjectKey{Namespace: s.set.Namespace, Name: name}, found)
	if apierrors.IsNotFound(err) {
		found, err = nil, nil
	}
	if err != nil {
		return override.Set{}, "", err
	}
	set, problem = override.Read(name, found)
	return set, problem, nil
}
