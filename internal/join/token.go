package join

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var form = regexp.MustCompile(`\A([a-z0-9]{6}\.[a-z0-9]{16})\.([0-9a-f]{64})(?:\.([0-9]{1,12}))?\z`)

// Token lets a machine join, and tells it whom to believe: a bootstrap token
// (id.secret), a dot, the SHA-256 of the authority's public key in hex, and, when it
// ends, a dot and its end in seconds since 1970.
type Token struct {
	// Secret is a bootstrap token.
	Secret string
	// Authority is the hash of the authority's public key.
	Authority string
	// Expires is when the servers take it no more, for the one who is refused; zero is never.
	Expires time.Time
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

// Names reports whether the token is of the cluster with this authority, in PEM.
func (t Token) Names(authority []byte) bool {
	for block, rest := pem.Decode(authority); block != nil; block, rest = pem.Decode(rest) {
		if ca, err := x509.ParseCertificate(block.Bytes); err == nil && Hash(ca) == t.Authority {
			return true
		}
	}
	return false
}

// String is the token as it is passed on.
func (t Token) String() string {
	text := t.Secret + "." + t.Authority
	if !t.Expires.IsZero() {
		text += "." + strconv.FormatInt(t.Expires.Unix(), 10)
	}
	return text
}

// ParseToken reads a token.
func ParseToken(text string) (Token, error) {
	parts := form.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return Token{}, errors.New("this is no join token; make one on a server with `berth token create`")
	}
	t := Token{Secret: parts[1], Authority: parts[2]}
	if parts[3] != "" {
		seconds, err := strconv.ParseInt(parts[3], 10, 64)
		if err != nil {
			return Token{}, err
		}
		t.Expires = time.Unix(seconds, 0).UTC()
	}
	return t, nil
}
