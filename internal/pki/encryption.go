package pki

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path/filepath"

	"berth.dev/berth/internal/base/datadir"
)

// encryptionText is an EncryptionConfiguration. Who takes the key out of it
// loses the secrets that are stored with it.
const encryptionText = `# Secrets are stored encrypted with the first key; all keys can decrypt.
# To rotate: put a new key (32 random bytes in base64) first, wait a minute or restart, run
#   kubectl get secrets -A -o json | kubectl replace -f -
# and remove the old key. To stop: put "- identity: {}" first and do the same.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources:
  - secrets
  providers:
  - secretbox:
      keys:
      - name: key1
        secret: %s
  - identity: {}
`

// EnsureEncryption returns the file in dir that says how secrets are stored,
// or "" when there is none. With create it makes one, with a new key. A file
// that is there is used either way, for there may be secrets that need it.
func EnsureEncryption(dir string, create bool) (string, error) {
	path := filepath.Join(dir, EncryptionFile)
	have, err := readFile(path)
	if err != nil {
		return "", err
	}
	if have != nil {
		return path, nil
	}
	if !create {
		return "", nil
	}
	text, err := newEncryption()
	if err != nil {
		return "", err
	}
	if err := datadir.WriteFile(path, text); err != nil {
		return "", err
	}
	return path, syncDir(dir)
}

func newEncryption() ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, encryptionText, base64.StdEncoding.EncodeToString(key)), nil
}
