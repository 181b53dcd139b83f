package authn

import "testing"

func TestServerToken(t *testing.T) {
	reads := 0
	s := ServerToken{Read: func() (string, error) { reads++; return "the-secret-of-the-servers", nil }}
	got, ok, err := s.AuthenticateToken(t.Context(), "the-secret-of-the-servers")
	if err != nil || !ok || got.User.GetName() != ServerUser || len(got.User.GetGroups()) != 1 || got.User.GetGroups()[0] != ServerGroup {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if _, ok, _ := s.AuthenticateToken(t.Context(), "the-secret-of-the-server"); ok {
		t.Error("another token is accepted")
	}
	reads = 0
	for _, other := range []string{"", "abcdef.0123456789abcdef", "a.jwt.of-a-service-account", "the-secret-of-the-servers\n"} {
		if _, ok, _ := s.AuthenticateToken(t.Context(), other); ok || reads != 0 {
			t.Errorf("%q: %v, read %d times", other, ok, reads)
		}
	}
	for _, none := range []ServerToken{{}, {Read: func() (string, error) { return "", nil }}} {
		if _, ok, _ := none.AuthenticateToken(t.Context(), "the-secret-of-the-servers"); ok {
			t.Error("accepted where there is none")
		}
	}
}
