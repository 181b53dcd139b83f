package authn

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// TokenReviewREST says whose token it is.
type TokenReviewREST struct {
	tokens    authenticator.Token
	audiences authenticator.Audiences
}

var (
	_ rest.Creater              = (*TokenReviewREST)(nil)
	_ rest.Scoper               = (*TokenReviewREST)(nil)
	_ rest.SingularNameProvider = (*TokenReviewREST)(nil)
)

// NewTokenReviewREST asks tokens; audiences are those of the API server.
func NewTokenReviewREST(tokens authenticator.Token, audiences authenticator.Audiences) *TokenReviewREST {
	return &TokenReviewREST{tokens, audiences}
}

// New implements rest.Storage.
func (*TokenReviewREST) New() runtime.Object { return &authenticationv1.TokenReview{} }

// Destroy implements rest.Storage.
func (*TokenReviewREST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*TokenReviewREST) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (*TokenReviewREST) GetSingularName() string { return "tokenreview" }

// Create implements rest.Creater.
func (r *TokenReviewREST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*authenticationv1.TokenReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenReview: %#v", obj))
	}
	if review.Namespace != "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("namespace is not allowed on this type: %v", review.Namespace))
	}
	if review.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	wanted := authenticator.Audiences(review.Spec.Audiences)
	if len(wanted) == 0 {
		wanted = r.audiences
	}
	if len(wanted) > 0 {
		ctx = authenticator.WithAudiences(ctx, wanted)
	}
	response, good, err := r.tokens.AuthenticateToken(ctx, review.Spec.Token)
	review.Status = authenticationv1.TokenReviewStatus{Authenticated: good}
	if err != nil {
		review.Status.Error = err.Error()
	}
	// An authenticator that does not look at audiences has answered for ours.
	if response != nil && len(wanted) > 0 && len(response.Audiences) == 0 && len(wanted.Intersect(r.audiences)) == 0 {
		review.Status.Authenticated = false
		return review, nil
	}
	if response != nil && response.User != nil {
		review.Status.User = describe(response.User)
		review.Status.Audiences = response.Audiences
	}
	return review, nil
}

// SelfSubjectReviewREST tells a client who it is.
type SelfSubjectReviewREST struct{}

var (
	_ rest.Creater              = (*SelfSubjectReviewREST)(nil)
	_ rest.Scoper               = (*SelfSubjectReviewREST)(nil)
	_ rest.SingularNameProvider = (*SelfSubjectReviewREST)(nil)
)

// NewSelfSubjectReviewREST has nothing to ask but the request.
func NewSelfSubjectReviewREST() *SelfSubjectReviewREST { return &SelfSubjectReviewREST{} }

// New implements rest.Storage.
func (*SelfSubjectReviewREST) New() runtime.Object { return &authenticationv1.SelfSubjectReview{} }

// Destroy implements rest.Storage.
func (*SelfSubjectReviewREST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*SelfSubjectReviewREST) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (*SelfSubjectReviewREST) GetSingularName() string { return "selfsubjectreview" }

// Create implements rest.Creater.
func (*SelfSubjectReviewREST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*authenticationv1.SelfSubjectReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a SelfSubjectReview: %#v", obj))
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	who, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	return &authenticationv1.SelfSubjectReview{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: review.CreationTimestamp},
		Status:     authenticationv1.SelfSubjectReviewStatus{UserInfo: describe(who)},
	}, nil
}

func describe(who user.Info) authenticationv1.UserInfo {
	extra := map[string]authenticationv1.ExtraValue{}
	for key, values := range who.GetExtra() {
		extra[key] = values
	}
	if len(extra) == 0 {
		extra = nil
	}
	return authenticationv1.UserInfo{Username: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups(), Extra: extra}
}
