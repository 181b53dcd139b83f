package authz

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// RulesReviewREST lists what the client itself may do in a namespace.
type RulesReviewREST struct{ resolver authorizer.RuleResolver }

var (
	_ rest.Creater              = (*RulesReviewREST)(nil)
	_ rest.Scoper               = (*RulesReviewREST)(nil)
	_ rest.SingularNameProvider = (*RulesReviewREST)(nil)
)

// NewSelfSubjectRulesReviewREST asks the resolver.
func NewSelfSubjectRulesReviewREST(resolver authorizer.RuleResolver) *RulesReviewREST {
	return &RulesReviewREST{resolver}
}

// New implements rest.Storage.
func (*RulesReviewREST) New() runtime.Object { return &authorizationv1.SelfSubjectRulesReview{} }

// Destroy implements rest.Storage.
func (*RulesReviewREST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*RulesReviewREST) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (*RulesReviewREST) GetSingularName() string { return "selfsubjectrulesreview" }

// Create implements rest.Creater.
func (r *RulesReviewREST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*authorizationv1.SelfSubjectRulesReview)
	if !ok {
		return nil, wrongType("SelfSubjectRulesReview", obj)
	}
	who, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	if review.Spec.Namespace == "" {
		return nil, apierrors.NewBadRequest("no namespace on request")
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	resources, paths, incomplete, err := r.resolver.RulesFor(ctx, who, review.Spec.Namespace)
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{},
		NonResourceRules: []authorizationv1.NonResourceRule{},
		Incomplete:       incomplete,
	}
	for _, rule := range resources {
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: rule.GetVerbs(), APIGroups: rule.GetAPIGroups(), Resources: rule.GetResources(), ResourceNames: rule.GetResourceNames(),
		})
	}
	for _, rule := range paths {
		status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: rule.GetVerbs(), NonResourceURLs: rule.GetNonResourceURLs()})
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	review.Status = status
	return review, nil
}
