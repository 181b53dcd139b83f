package bootstraptoken

import (
	"testing"
	"time"
)

func TestTokenOfOurs(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	s := New("abc123", "0123456789abcdef", "rack 7", now.Add(time.Hour))
	if s.Namespace != "kube-system" || s.Name != "bootstrap-token-abc123" || s.Type != SecretType {
		t.Errorf("%+v", s.ObjectMeta)
	}
	for key, want := range map[string]string{
		"token-id": "abc123", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
		"auth-extra-groups": "system:bootstrappers:berth:join", "description": "rack 7", "expiration": "2026-01-02T13:00:00Z",
	} {
		if got := string(s.Data[key]); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if left, never := Expires(s, now); never || left != time.Hour {
		t.Errorf("it has %s left, for ever %v", left, never)
	}
	for at, want := range map[time.Time]string{now: "2026-01-02T13:00:00Z", now.Add(2 * time.Hour): "2026-01-02T13:00:00Z (it has expired)"} {
		if id, expires, about := Describe(s, at); id != "abc123" || expires != want || about != "rack 7" {
			t.Errorf("%s, %s, %s", id, expires, about)
		}
	}
	if _, expires, _ := Describe(New("abc123", "0123456789abcdef", "", time.Time{}), now); expires != "never" {
		t.Errorf("it expires %s", expires)
	}
	for given, want := range map[string]string{
		"abc123": "abc123", "bootstrap-token-abc123": "abc123", "abc123.0123456789abcdef.00": "abc123", "abc12": "", "": "", "ABC123": "",
	} {
		if got := ID(given); got != want {
			t.Errorf("ID of %q: %q, want %q", given, got, want)
		}
	}
}
