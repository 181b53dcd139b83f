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
// The informers that New asks for are pods, persistentvolumes, nodes,
// serviceaccounts, roles, rolebindings, clusterroles and clusterrolebindings.
// New gives them the transform Slim, which keeps the API server's own copies
// of objects small; they must not have been started before.
package authz
