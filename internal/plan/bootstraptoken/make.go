package bootstraptoken

import (
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JoinGroup is the group of machines that may ask for a node's certificate.
const JoinGroup = "system:bootstrappers:berth:join"

const prefix = "bootstrap-token-"

var (
	tokenID = regexp.MustCompile(`\A[a-z0-9]{6}\z`)
	public  = map[string]string{"usage-bootstrap-authentication": "true", "auth-extra-groups": JoinGroup}
)

// New is the Secret of a token that machines join with; expires is zero for ever.
func New(id, secret, description string, expires time.Time) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: Name(id)},
		Type:       SecretType,
		Data:       map[string][]byte{tokenIDKey: []byte(id), tokenSecretKey: []byte(secret)},
	}
	for key, value := range public {
		s.Data[key] = []byte(value)
	}
	if description != "" {
		s.Data["description"] = []byte(description)
	}
	if !expires.IsZero() {
		s.Data[expirationKey] = []byte(expires.UTC().Format(time.RFC3339))
	}
	return s
}

// Name is the name of a token's Secret.
func Name(id string) string { return prefix + id }

// ID is the part of a token, or of its Secret's name, that is no secret; "" when
// there is none.
func ID(given string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(given, prefix), ".")
	if !tokenID.MatchString(id) {
		return ""
	}
	return id
}

// Describe is what may be shown of a token.
func Describe(secret *corev1.Secret, now time.Time) (id, expires, description string) {
	id, expires = ID(secret.Name), "never"
	if text := string(secret.Data[expirationKey]); text != "" {
		expires = text
		if left, never := Expires(secret, now); !never && left == 0 {
			expires += " (it has expired)"
		}
	}
	return id, expires, string(secret.Data["description"])
}
