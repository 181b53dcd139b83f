package secure_test

import (
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Secret of its type gets a token that is good as long as Secret and account are there.
func TestSecretTokens(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	c.account("default", "robot")
	secrets := c.Client.CoreV1().Secrets("default")
	create := func(name, account string) {
		t.Helper()
		_, err := secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
			Type:       corev1.SecretTypeServiceAccountToken,
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	token := func(name string) string {
		t.Helper()
		var secret *corev1.Secret
		eventually(t, name+" is filled", func() bool {
			var err error
			secret, err = secrets.Get(ctx, name, metav1.GetOptions{})
			return err == nil && len(secret.Data[corev1.ServiceAccountTokenKey]) > 0
		})
		if got := string(secret.Data[corev1.ServiceAccountNamespaceKey]); got != "default" {
			t.Errorf("namespace %q", got)
		}
		if got := string(secret.Data[corev1.ServiceAccountRootCAKey]); got != string(c.set.CA.CertPEM) {
			t.Errorf("certificate authority %q", got)
		}
		if secret.Annotations[corev1.ServiceAccountUIDKey] == "" {
			t.Error("the account's UID is not noted")
		}
		return string(secret.Data[corev1.ServiceAccountTokenKey])
	}
	create("one", "robot")
	create("two", "robot")
	one, two := c.withToken(token("one")), c.withToken(token("two"))
	who, err := one.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := who.Status.UserInfo.Username; got != "system:serviceaccount:default:robot" {
		t.Errorf("the token is of %s", got)
	}
	refused := func() bool {
		_, err := one.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		return apierrors.IsUnauthorized(err)
	}
	if refused() {
		t.Error("a good token is refused")
	}
	used, err := secrets.Get(ctx, "one", metav1.GetOptions{})
	today := time.Now().UTC()
	if err != nil || !slices.Contains([]string{today.Format(time.DateOnly), today.AddDate(0, 0, -1).Format(time.DateOnly)}, used.Labels["kubernetes.io/legacy-token-last-used"]) {
		t.Errorf("the use of the token is not noted: %v, %v", used.Labels, err)
	}
	refused()
	if again, err := secrets.Get(ctx, "one", metav1.GetOptions{}); err != nil || again.ResourceVersion != used.ResourceVersion {
		t.Errorf("a second use on the same day is noted too: %v", err)
	}

	// What the account lists counts as made by Kubernetes, and is listed as long as it is there.
	account, err := c.Client.CoreV1().ServiceAccounts("default").Get(ctx, "robot", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	account.Secrets = []corev1.ObjectReference{{Name: "one"}, {Name: "other"}}
	if _, err := c.Client.CoreV1().ServiceAccounts("default").Update(ctx, account, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := secrets.Delete(ctx, "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token of a deleted secret is refused", refused)
	eventually(t, "the account lists the deleted secret no more", func() bool {
		account, err := c.Client.CoreV1().ServiceAccounts("default").Get(ctx, "robot", metav1.GetOptions{})
		return err == nil && len(account.Secrets) == 1 && account.Secrets[0].Name == "other"
	})

	gone := func(name string) func() bool {
		return func() bool {
			_, err := secrets.Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}
	}
	create("orphan", "nobody")
	eventually(t, "the secret of no account is deleted", gone("orphan"))
	if err := c.Client.CoreV1().ServiceAccounts("default").Delete(ctx, "robot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the secret of a deleted account is deleted", gone("two"))
	_, err = two.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("the token of a deleted account: %v", err)
	}
}

func TestTrustIsPublished(t *testing.T) {
	c := start(t)
	var data map[string]string
	eventually(t, "the authorities are published", func() bool {
		m, err := c.Client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "extension-apiserver-authentication", metav1.GetOptions{})
		if err == nil {
			data = m.Data
		}
		return err == nil
	})
	for key, want := range map[string]string{
		"client-ca-file":                     string(c.set.CA.CertPEM),
		"requestheader-client-ca-file":       string(c.set.FrontProxyCA.CertPEM),
		"requestheader-allowed-names":        `["front-proxy-client"]`,
		"requestheader-username-headers":     `["X-Remote-User"]`,
		"requestheader-uid-headers":          `["X-Remote-Uid"]`,
		"requestheader-group-headers":        `["X-Remote-Group"]`,
		"requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`,
	} {
		if data[key] != want {
			t.Errorf("%s: %q, want %q", key, data[key], want)
		}
	}
}
