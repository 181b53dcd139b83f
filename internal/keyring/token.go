package keyring

import (
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/pki"
)

var (
	secretForm = regexp.MustCompile(`\A([A-Za-z0-9_-]{16,256})(?:\.([0-9a-f]{64}))?\z`)
	nodesForm  = regexp.MustCompile(`\A[a-z0-9]{6}\.[a-z0-9]{16}(\.|\z)`)
)

// tokenLength in letters of 5.2 bits: more than 160 bits.
const tokenLength = 32

// Token opens the keys of a cluster. Whoever has it can be a server.
type Token struct {
	Secret string
	// Authority is the hash of the cluster's authority, "" when the token does
	// not name it.
	Authority string
}

// NewToken is a token that names the authority.
func NewToken(secret string, ca *x509.Certificate) Token {
	return Token{Secret: secret, Authority: join.Hash(ca)}
}

// String is the token as it is passed on.
func (t Token) String() string {
	if t.Authority == "" {
		return t.Secret
	}
	return t.Secret + "." + t.Authority
}

// ParseToken reads a token. Its errors do not repeat it.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if nodesForm.MatchString(text) {
		return Token{}, errors.New("this is the token that nodes join with; print the servers' with `berth token --server`")
	}
	parts := secretForm.FindStringSubmatch(text)
	if parts == nil {
		return Token{}, errors.New("this is no server token: print one with `berth token --server`, or make one up of at least 16 letters, digits, - and _")
	}
	return Token{Secret: parts[1], Authority: parts[2]}, nil
}

// EnsureToken returns the secret kept in file; without a file it writes the
// given one there, or a new one.
func EnsureToken(file, given string) (string, error) {
	have, err := ReadToken(file)
	if err != nil || have != "" {
		return have, err
	}
	if given == "" {
		if given, err = pki.RandomText(tokenLength); err != nil {
			return "", err
		}
	}
	return given, writeToken(file, given)
}

// next is where a new token waits until the server starts again.
func next(file string) string { return file + ".next" }

// Rotate makes a token that takes the place of the one in file at the server's
// next start. Until then both open the keys for this server.
func Rotate(file string) (secret string, err error) {
	if secret, err = pki.RandomText(tokenLength); err != nil {
		return "", err
	}
	return secret, writeToken(next(file), secret)
}

// rotated puts the new token in the place of the old one.
func rotated(file, secret string) error {
	if err := writeToken(file, secret); err != nil {
		return err
	}
	return os.Remove(next(file))
}

// ReadToken returns the secret kept in file, "" when there is no file.
func ReadToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	t, err := ParseToken(string(text))
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return t.Secret, nil
}

func writeToken(file, secret string) error { return datadir.WriteFile(file, []byte(secret+"\n")) }

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
