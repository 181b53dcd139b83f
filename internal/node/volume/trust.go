package volume

import (
	"context"
	"errors"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"berth.dev/berth/internal/plan/trust"
)

// trustRef is what a clusterTrustBundle source shows.
func trustRef(s *corev1.ClusterTrustBundleProjection) ref {
	if s.Name != nil {
		return ref{kind: trustBundle, name: *s.Name}
	}
	r := ref{kind: trustBundles}
	if s.SignerName != nil {
		r.name = *s.SignerName
	}
	return r
}

// anchors are the trust anchors that a clusterTrustBundle source selects.
func (v *Volumes) anchors(ctx context.Context, s *corev1.ClusterTrustBundleProjection) ([]byte, error) {
	patience := v.cfg.missingWait
	if optional(s.Optional) {
		patience = 0
	}
	found, err := v.follows.get(ctx, trustRef(s), v.cfg.syncWait, patience)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	var bundles []trust.Bundle
	if err == nil {
		bundles = found.bundles
	}
	if s.Name == nil {
		if bundles, err = trust.Select(bundles, s.LabelSelector); err != nil {
			return nil, fmt.Errorf("while parsing label selector: %w", err)
		}
	}
	if len(bundles) == 0 && !optional(s.Optional) {
		if s.Name != nil {
			return nil, fmt.Errorf("while getting ClusterTrustBundle: %w", apierrors.NewNotFound(certificatesv1.Resource(trustBundle), *s.Name))
		}
		return nil, errors.New("combination of signerName and labelSelector matched zero ClusterTrustBundles")
	}
	return trust.Anchors(bundles), nil
}
