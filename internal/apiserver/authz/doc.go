// Package authz joins what decides over requests: paths open to all,
// system:masters, the node authorizer and RBAC. It also answers the kinds that
// only ask about rights.
//
// What the server installs from here, all create-only and never stored:
//
//	authorization.k8s.io/v1 subjectaccessreviews       NewSubjectAccessReviewREST
//	authorization.k8s.io/v1 selfsubjectaccessreviews   NewSelfSubjectAccessReviewREST
//	authorization.k8s.io/v1 localsubjectaccessreviews  NewLocalSubjectAccessReviewREST (namespaced)
//	authorization.k8s.io/v1 selfsubjectrulesreviews    NewSelfSubjectRulesReviewREST
//
// The informer factory that New is given must be made with
// informers.WithTransform(Slim), which keeps the API server's own copies of
// pods small. The informers it asks for are pods, persistentvolumes, roles,
// rolebindings, clusterroles and clusterrolebindings.
package authz
