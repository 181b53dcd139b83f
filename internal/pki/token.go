package pki

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"berth.dev/berth/internal/base/datadir"
)

var tokenForm = regexp.MustCompile(`\A[a-z0-9]{6}\.[a-z0-9]{16}\z`)

// ensureToken reads the token that machines join with, or makes it. Deleting
// the file and starting again makes another.
func ensureToken(dir string) (string, error) {
	path := filepath.Join(dir, "join.token")
	data, err := readFile(path)
	if err != nil {
		return "", err
	}
	if data != nil {
		token := strings.TrimSpace(string(data))
		if !tokenForm.MatchString(token) {
			return "", fmt.Errorf("%s holds no token of the form abcdef.0123456789abcdef: write one, or delete the file for a new one", path)
		}
		return token, nil
	}
	token, err := newToken()
	if err != nil {
		return "", err
	}
	return token, datadir.WriteFile(path, []byte(token+"\n"))
}

func newToken() (string, error) {
	text, err := RandomText(22)
	if err != nil {
		return "", err
	}
	return text[:6] + "." + text[6:], nil
}

// RandomText draws from the letters of a bootstrap token, all equally likely.
func RandomText(n int) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	out, b := make([]byte, 0, n), make([]byte, 1)
	for len(out) < n {
		if _, err := rand.Read(b); err != nil {
			return "", err
		}
		if int(b[0]) < 256/len(letters)*len(letters) {
			out = append(out, letters[int(b[0])%len(letters)])
		}
	}
	return string(out), nil
}

// ReadJoin returns the join token in dir and the authority that it is for.
func ReadJoin(dir string) (token string, ca *x509.Certificate, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "join.token"))
	if err != nil {
		return "", nil, err
	}
	certificate, err := os.ReadFile(filepath.Join(dir, clusterAuthority.name+".crt"))
	if err != nil {
		return "", nil, err
	}
	ca, err = decodeCert(certificate)
	return strings.TrimSpace(string(text)), ca, err
}
