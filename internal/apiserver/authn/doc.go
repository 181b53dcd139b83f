// Package authn says who makes a request to the API server: client
// certificates, the components of this process (in-memory transport), service
// account tokens, and everybody else as system:anonymous. It also issues
// service account tokens and answers the kinds that only ask about identity.
//
// What the server installs from here, all create-only and never stored:
//
//	core/v1                  serviceaccounts/token   NewTokenREST
//	authentication.k8s.io/v1 tokenreviews            NewTokenReviewREST
//	authentication.k8s.io/v1 selfsubjectreviews      NewSelfSubjectReviewREST
//	GET /.well-known/openid-configuration, /openid/v1/jwks   Discovery
//
// The in-memory transport carries a bearer token of InProcess.Token; it is
// refused on every connection that has TLS, so it is worth nothing outside.
package authn
