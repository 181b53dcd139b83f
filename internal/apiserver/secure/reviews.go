package secure

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/authn"
	"berth.dev/berth/internal/apiserver/authz"
)

// reviews are the kinds that only ask about identity and rights.
func (p *parts) reviews(s apiserver.Parts) (map[schema.GroupVersion]map[string]rest.Storage, error) {
	return map[schema.GroupVersion]map[string]rest.Storage{
		authenticationv1.SchemeGroupVersion: {
			"selfsubjectreviews": authn.NewSelfSubjectReviewREST(),
			"tokenreviews":       authn.NewTokenReviewREST(p.accepted, p.audiences),
		},
		authorizationv1.SchemeGroupVersion: {
			"localsubjectaccessreviews": authz.NewLocalSubjectAccessReviewREST(s.Authorizer),
			"selfsubjectaccessreviews":  authz.NewSelfSubjectAccessReviewREST(s.Authorizer),
			"selfsubjectrulesreviews":   authz.NewSelfSubjectRulesReviewREST(s.Rules),
			"subjectaccessreviews":      authz.NewSubjectAccessReviewREST(s.Authorizer),
		},
	}, nil
}
