// Package serviceaccount serves serviceaccounts/token, by which tokens that
// are bound to a pod, a node or a secret are handed out.
package serviceaccount

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
)

// Bound are the objects that a token dies with.
type Bound struct {
	Pod    *corev1.Pod
	Node   *corev1.Node // the node of Pod, or the bound node itself
	Secret *corev1.Secret
}

// Minter signs a token for account. It fills status.token and
// status.expirationTimestamp of request.
type Minter interface {
	Mint(ctx context.Context, account *corev1.ServiceAccount, bound Bound, request *authenticationv1.TokenRequest) error
}
