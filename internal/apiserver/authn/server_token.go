package authn

import (
	"context"
	"regexp"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

const (
	// ServerUser is who shows the server token: a server that wants to join.
	ServerUser = "system:berth:server"
	// ServerGroup is what it is in.
	ServerGroup = "system:berth:servers"
)

// No other token is without a dot.
var serverToken = regexp.MustCompile(`\A[A-Za-z0-9_-]{16,256}\z`)

// ServerToken knows the token of the cluster's servers, which Read returns; ""
// means none. It is rarely used: it is read when it is.
type ServerToken struct {
	Read func() (string, error)
}

// AuthenticateToken implements authenticator.Token.
func (s ServerToken) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	if s.Read == nil || !serverToken.MatchString(token) {
		return nil, false, nil
	}
	secret, err := s.Read()
	if err != nil || secret == "" || !same(secret, token) {
		return nil, false, err
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: ServerUser, Groups: []string{ServerGroup}}}, true, nil
}
