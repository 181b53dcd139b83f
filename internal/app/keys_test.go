package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServerTokenIsReadAndNeverShown(t *testing.T) {
	const secret = "a-secret-of-the-servers"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Config{{Token: secret}, {TokenFile: file}} {
		if got, err := c.serverToken(); err != nil || got.Secret != secret {
			t.Errorf("%v: %v, %v", c.TokenFile, got, err)
		}
	}
	if got, err := (Config{}).serverToken(); err != nil || got.Secret != "" {
		t.Errorf("nothing given: %v, %v", got, err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Config{
		"not both":             {Token: secret, TokenFile: file},
		"no such file":         {TokenFile: file + "2"},
		"is empty":             {TokenFile: empty},
		"--token: this is no":  {Token: "short secret"},
		"berth token --server": {Token: "abcdef.0123456789abcdef." + strings.Repeat("0", 64)},
	} {
		_, err := c.serverToken()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if err != nil && c.Token != "" && strings.Contains(err.Error(), c.Token) {
			t.Errorf("the token is told: %v", err)
		}
	}
	// What /flagz shows to monitors.
	shown := Config{Token: secret}.shown()
	for name, value := range shown.GetFlagz() {
		if strings.Contains(value, secret) {
			t.Errorf("--%s shows the token", name)
		}
	}
}
