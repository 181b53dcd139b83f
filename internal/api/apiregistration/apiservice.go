package apiregistration

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/validation"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

type apiService = apiregistrationv1.APIService

func apiServiceKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:        apiregistrationv1.SchemeGroupVersion.WithKind("APIService"),
		Resource:   "apiservices",
		Singular:   "apiservice",
		Categories: []string{"api-extensions"},
		Columns:    columns.APIService,
		New:        func() runtime.Object { return &apiService{} },
		NewList:    func() runtime.Object { return &apiregistrationv1.APIServiceList{} },
		HasStatus:  true,
	}, kind.Rules[*apiService]{
		Default:              apiregistrationv1.SetObjectDefaults_APIService,
		PrepareCreate:        prepareCreate,
		Validate:             validate(validation.ValidateAPIService),
		ValidateUpdate:       validateUpdate(validation.ValidateAPIServiceUpdate),
		ValidateStatusUpdate: validateUpdate(validation.ValidateAPIServiceStatusUpdate),
		PrepareStatusUpdate:  prepareStatusUpdate,
		CopySpec:             func(obj, old *apiService) { old.Spec.DeepCopyInto(&obj.Spec) },
		CopyStatus:           func(obj, old *apiService) { old.Status.DeepCopyInto(&obj.Status) },
		Row:                  columns.APIServiceRow,
	})
}

// prepareCreate calls what this server answers itself available at once.
func prepareCreate(_ context.Context, s *apiService) {
	if s.Spec.Service == nil {
		helper.SetAPIServiceCondition(s, helper.NewLocalAvailableAPIServiceCondition())
	}
}

// prepareStatusUpdate leaves everything but the status as it was.
func prepareStatusUpdate(_ context.Context, s, old *apiService) {
	s.Labels, s.Annotations = old.Labels, old.Annotations
	s.Finalizers, s.OwnerReferences = old.Finalizers, old.OwnerReferences
}

// The library's checks are written for its internal type; those of its fields
// that can be wrong are the same in both.
func internal(in *apiService) (*apiregistration.APIService, error) {
	out := &apiregistration.APIService{}
	return out, apiregistrationv1.Convert_v1_APIService_To_apiregistration_APIService(in, out, nil)
}

func validate(check func(context.Context, *apiregistration.APIService) field.ErrorList) func(context.Context, *apiService) field.ErrorList {
	return func(ctx context.Context, s *apiService) field.ErrorList {
		in, err := internal(s)
		if err != nil {
			return field.ErrorList{field.InternalError(nil, err)}
		}
		return check(ctx, in)
	}
}

func validateUpdate(check func(ctx context.Context, s, old *apiregistration.APIService) field.ErrorList) func(ctx context.Context, s, old *apiService) field.ErrorList {
	return func(ctx context.Context, s, old *apiService) field.ErrorList {
		in, err := internal(s)
		if err != nil {
			return field.ErrorList{field.InternalError(nil, err)}
		}
		was, err := internal(old)
		if err != nil {
			return field.ErrorList{field.InternalError(nil, err)}
		}
		return check(ctx, in, was)
	}
}
