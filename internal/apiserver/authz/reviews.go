package authz

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// ReviewREST answers one of the kinds that ask whether a request would be allowed.
type ReviewREST struct {
	authorizer authorizer.Authorizer
	singular   string
	namespaced bool
	make       func() runtime.Object
	// read takes the question out of the object.
	read func(context.Context, runtime.Object) (question, error)
}

var (
	_ rest.Creater              = (*ReviewREST)(nil)
	_ rest.Scoper               = (*ReviewREST)(nil)
	_ rest.SingularNameProvider = (*ReviewREST)(nil)
)

// question is what a review asks, and where its answer goes.
type question struct {
	who       user.Info
	resource  *authorizationv1.ResourceAttributes
	path      *authorizationv1.NonResourceAttributes
	status    *authorizationv1.SubjectAccessReviewStatus
	meta      *metav1.ObjectMeta
	local     bool
	errs      field.ErrorList
	specified *authorizationv1.SubjectAccessReviewSpec // nil for a question about oneself
}

// New implements rest.Storage.
func (r *ReviewREST) New() runtime.Object { return r.make() }

// Destroy implements rest.Storage.
func (*ReviewREST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (r *ReviewREST) NamespaceScoped() bool { return r.namespaced }

// GetSingularName implements rest.SingularNameProvider.
func (r *ReviewREST) GetSingularName() string { return r.singular }

// Create implements rest.Creater.
func (r *ReviewREST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	q, err := r.read(ctx, obj)
	if err != nil {
		return nil, err
	}
	errs := append(q.errs, validateQuestion(q)...)
	if len(errs) > 0 {
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: authorizationv1.GroupName}, "", errs)
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	decision, reason, err := r.authorizer.Authorize(ctx, attributes(q))
	*q.status = authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow,
		Denied:  decision == authorizer.DecisionDeny,
		Reason:  reason,
	}
	if err != nil {
		q.status.EvaluationError = err.Error()
	}
	return obj, nil
}

func wrongType(want string, obj runtime.Object) error {
	return apierrors.NewBadRequest(fmt.Sprintf("not a %s: %#v", want, obj))
}

// NewSubjectAccessReviewREST answers what somebody may do.
func NewSubjectAccessReviewREST(a authorizer.Authorizer) *ReviewREST {
	return &ReviewREST{
		authorizer: a, singular: "subjectaccessreview",
		make: func() runtime.Object { return &authorizationv1.SubjectAccessReview{} },
		read: func(_ context.Context, obj runtime.Object) (question, error) {
			review, ok := obj.(*authorizationv1.SubjectAccessReview)
			if !ok {
				return question{}, wrongType("SubjectAccessReview", obj)
			}
			return about(&review.ObjectMeta, &review.Spec, &review.Status), nil
		},
	}
}

// NewLocalSubjectAccessReviewREST answers what somebody may do in one namespace.
func NewLocalSubjectAccessReviewREST(a authorizer.Authorizer) *ReviewREST {
	return &ReviewREST{
		authorizer: a, singular: "localsubjectaccessreview", namespaced: true,
		make: func() runtime.Object { return &authorizationv1.LocalSubjectAccessReview{} },
		read: func(ctx context.Context, obj runtime.Object) (question, error) {
			review, ok := obj.(*authorizationv1.LocalSubjectAccessReview)
			if !ok {
				return question{}, wrongType("LocalSubjectAccessReview", obj)
			}
			namespace := request.NamespaceValue(ctx)
			if namespace == "" {
				return question{}, apierrors.NewBadRequest(fmt.Sprintf("namespace is required on this type: %v", namespace))
			}
			if review.Namespace != "" && review.Namespace != namespace {
				return question{}, apierrors.NewBadRequest(fmt.Sprintf("spec.resourceAttributes.namespace must match namespace: %v", namespace))
			}
			q := about(&review.ObjectMeta, &review.Spec, &review.Status)
			q.local = true
			path := field.NewPath("spec").Child("resourceAttributes").Child("namespace")
			if r := review.Spec.ResourceAttributes; r != nil && r.Namespace != namespace {
				q.errs = append(q.errs, field.Invalid(path, r.Namespace, "must match metadata.namespace"))
			}
			if review.Spec.NonResourceAttributes != nil {
				q.errs = append(q.errs, field.Invalid(field.NewPath("spec").Child("nonResourceAttributes"), review.Spec.NonResourceAttributes, "disallowed on this kind of request"))
			}
			return q, nil
		},
	}
}

// NewSelfSubjectAccessReviewREST answers what the client itself may do.
func NewSelfSubjectAccessReviewREST(a authorizer.Authorizer) *ReviewREST {
	return &ReviewREST{
		authorizer: a, singular: "selfsubjectaccessreview",
		make: func() runtime.Object { return &authorizationv1.SelfSubjectAccessReview{} },
		read: func(ctx context.Context, obj runtime.Object) (question, error) {
			review, ok := obj.(*authorizationv1.SelfSubjectAccessReview)
			if !ok {
				return question{}, wrongType("SelfSubjectAccessReview", obj)
			}
			who, ok := request.UserFrom(ctx)
			if !ok {
				return question{}, apierrors.NewBadRequest("no user present on request")
			}
			return question{meta: &review.ObjectMeta, who: who, resource: review.Spec.ResourceAttributes, path: review.Spec.NonResourceAttributes, status: &review.Status}, nil
		},
	}
}

func about(meta *metav1.ObjectMeta, spec *authorizationv1.SubjectAccessReviewSpec, status *authorizationv1.SubjectAccessReviewStatus) question {
	extra := map[string][]string{}
	for key, values := range spec.Extra {
		extra[key] = values
	}
	return question{
		meta:      meta,
		who:       &user.DefaultInfo{Name: spec.User, Groups: spec.Groups, UID: spec.UID, Extra: extra},
		resource:  spec.ResourceAttributes,
		path:      spec.NonResourceAttributes,
		status:    status,
		specified: spec,
	}
}

func validateQuestion(q question) field.ErrorList {
	var errs field.ErrorList
	spec := field.NewPath("spec")
	if q.resource != nil && q.path != nil {
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), q.path, "cannot be specified in combination with resourceAttributes"))
	}
	if q.resource == nil && q.path == nil {
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes"), q.path, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	if q.specified != nil && q.specified.User == "" && len(q.specified.Groups) == 0 {
		errs = append(errs, field.Invalid(spec.Child("user"), q.specified.User, "at least one of user or group must be specified"))
	}
	if q.resource != nil {
		errs = append(errs, validateSelectors(q.resource, spec.Child("resourceAttributes"))...)
	}
	return append(errs, emptyMeta(q)...)
}

// emptyMeta: a question has no name and no labels, only perhaps a namespace.
func emptyMeta(q question) field.ErrorList {
	meta := *q.meta
	meta.ManagedFields, meta.CreationTimestamp = nil, metav1.Time{}
	text := "must be empty"
	if q.local {
		meta.Namespace, text = "", "must be empty except for namespace"
	}
	if equality.Semantic.DeepEqual(meta, metav1.ObjectMeta{}) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), *q.meta, text)}
}
