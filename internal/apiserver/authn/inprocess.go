package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

const inProcessPrefix = "berth-in-process-"

// InProcess gives the components of this process their identities: a random
// bearer token for each, valid as long as the process lives and only on
// requests that came without TLS, that is through the in-memory transport.
type InProcess struct {
	mu     sync.RWMutex
	users  map[[sha256.Size]byte]*user.DefaultInfo
	tokens map[string]string
}

// NewInProcess knows nobody yet.
func NewInProcess() *InProcess {
	return &InProcess{users: map[[sha256.Size]byte]*user.DefaultInfo{}, tokens: map[string]string{}}
}

// Token returns the bearer token of an identity; the same one each time. A
// service account's name brings its groups when none are given.
func (p *InProcess) Token(name string, groups ...string) string {
	if len(groups) == 0 {
		if namespace, _, err := serviceaccount.SplitUsername(name); err == nil {
			groups = serviceaccount.MakeGroupNames(namespace)
		}
	}
	identity := strings.Join(append([]string{name}, groups...), "\x00")
	p.mu.Lock()
	defer p.mu.Unlock()
	if token, ok := p.tokens[identity]; ok {
		return token
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	token := inProcessPrefix + base64.RawURLEncoding.EncodeToString(secret)
	p.tokens[identity] = token
	// Kept by its hash, so that looking it up takes the same time for every wrong guess.
	p.users[sha256.Sum256([]byte(token))] = &user.DefaultInfo{Name: name, Groups: slices.Clone(groups)}
	return token
}

// AuthenticateRequest implements authenticator.Request.
func (p *InProcess) AuthenticateRequest(req *http.Request) (*authenticator.Response, bool, error) {
	if req.TLS != nil {
		return nil, false, nil
	}
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !ok || !strings.HasPrefix(token, inProcessPrefix) {
		return nil, false, nil
	}
	sum := sha256.Sum256([]byte(token))
	p.mu.RLock()
	info := p.users[sum]
	p.mu.RUnlock()
	if info == nil {
		return nil, false, nil
	}
	req.Header.Del("Authorization")
	auds, _ := authenticator.AudiencesFrom(req.Context())
	return &authenticator.Response{User: info, Audiences: auds}, true, nil
}
