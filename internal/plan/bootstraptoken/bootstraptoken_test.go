package bootstraptoken

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// token is a good one, changed.
func token(id string, change map[string]string) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "bootstrap-token-" + id}, Type: SecretType,
		Data: map[string][]byte{tokenIDKey: []byte(id), tokenSecretKey: []byte("0123456789abcdef"), usageSigningKey: []byte("true")},
	}
	for k, v := range change {
		s.Data[k] = []byte(v)
	}
	return s
}

// The signature is what upstream's library makes of the same input.
func TestSignatureIsUpstreams(t *testing.T) {
	const content = "Hello from the other side. I must have called a thousand times."
	got, err := sign(content, "joshua", "my voice is my passcode")
	if want := "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"; err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestSign(t *testing.T) {
	wrongName := token("aaaaaa", nil)
	wrongName.Name = "bootstrap-token-bbbbbb"
	wrongType := token("aaaaaa", nil)
	wrongType.Type = corev1.SecretTypeOpaque
	for what, c := range map[string]struct {
		secret *corev1.Secret
		signs  bool
	}{
		"good":            {token("aaaaaa", nil), true},
		"ends later":      {token("aaaaaa", map[string]string{expirationKey: now.Add(time.Second).Format(time.RFC3339)}), true},
		"ended":           {token("aaaaaa", map[string]string{expirationKey: now.Format(time.RFC3339)}), false},
		"ends never said": {token("aaaaaa", map[string]string{expirationKey: "soon"}), false},
		"not for signing": {token("aaaaaa", map[string]string{usageSigningKey: "false"}), false},
		"no secret":       {token("aaaaaa", map[string]string{tokenSecretKey: ""}), false},
		"other name":      {wrongName, false},
		"other type":      {wrongType, false},
	} {
		info := &corev1.ConfigMap{Data: map[string]string{kubeconfigKey: "x", signatureKey + "gone00": "y", "more": "z"}}
		data, changed, err := Sign(info, []*corev1.Secret{c.secret}, now)
		if _, signed := data[signatureKey+"aaaaaa"]; err != nil || !changed || signed != c.signs {
			t.Errorf("%s: signed %v, changed %v, %v", what, signed, changed, err)
		}
		if _, stays := data[signatureKey+"gone00"]; stays || data["more"] != "z" {
			t.Errorf("%s: %v", what, data)
		}
		info.Data = data
		if _, changed, _ := Sign(info, []*corev1.Secret{c.secret}, now); changed {
			t.Errorf("%s: signed twice", what)
		}
	}
	empty := &corev1.ConfigMap{Data: map[string]string{"jws-kubeconfig-aaaaaa": "y"}}
	if data, changed, err := Sign(empty, []*corev1.Secret{token("aaaaaa", nil)}, now); changed || err != nil || !cmp.Equal(data, empty.Data) {
		t.Errorf("nothing to sign: %v %v %v", data, changed, err)
	}
}

func TestExpires(t *testing.T) {
	type want struct {
		left  time.Duration
		never bool
	}
	other := token("aaaaaa", map[string]string{expirationKey: now.Format(time.RFC3339)})
	other.Type = corev1.SecretTypeOpaque
	for what, c := range map[string]struct {
		secret *corev1.Secret
		want   want
	}{
		"never":    {token("aaaaaa", nil), want{0, true}},
		"later":    {token("aaaaaa", map[string]string{expirationKey: "2026-11-22T13:00:00+00:00"}), want{time.Hour, false}},
		"before":   {token("aaaaaa", map[string]string{expirationKey: "2026-11-22T11:00:00Z"}), want{0, false}},
		"nonsense": {token("aaaaaa", map[string]string{expirationKey: "soon"}), want{0, false}},
		"no token": {other, want{0, true}},
	} {
		left, never := Expires(c.secret, now)
		if got := (want{left, never}); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}
