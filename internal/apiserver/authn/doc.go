// Package authn says who makes a request to the API server from outside its
// process: client certificates, service account tokens, and everybody else as
// system:anonymous. It also signs service account tokens and answers the kind
// that only asks about identity.
//
// The server is given New as its authenticator, a Verifier as its reviewer of
// tokens, a Minter for serviceaccounts/token, and installs
//
//	authentication.k8s.io/v1 selfsubjectreviews   NewSelfSubjectReviewREST
//	authentication.k8s.io/v1 tokenreviews         NewTokenReviewREST
//	GET /.well-known/openid-configuration, /openid/v1/jwks   NewDiscovery
package authn
