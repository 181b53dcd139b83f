package join

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
)

var form = regexp.MustCompile(`\A([a-z0-9]{6}\.[a-z0-9]{16})\.([0-9a-f]{64})\z`)

// Token lets a machine join, and tells it whom to believe: a bootstrap token
// (id.secret), a dot, and the SHA-256 of the authority's public key in hex.
type Token struct {
	// Secret is a bootstrap token.
	Secret string
	// Authority is the hash of the authority's public key.
	Authority string
}

// NewToken is the token for machines that are to believe ca.
func NewToken(secret string, ca *x509.Certificate) Token {
	return Token{Secret: secret, Authority: Hash(ca)}
}

// Hash is by what a token names an authority: the SHA-256 of its public key in hex.
func Hash(ca *x509.Certificate) string {
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// String is the token as it is passed on.
func (t Token) String() string { return t.Secret + "." + t.Authority }

// ParseToken reads a token.
func ParseToken(text string) (Token, error) {
	parts := form.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return Token{}, errors.New("this is no join token; print one on a server with `berth token`")
	}
	return Token{Secret: parts[1], Authority: parts[2]}, nil
}
