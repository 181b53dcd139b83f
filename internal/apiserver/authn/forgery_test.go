package authn

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/apiserver/registry/serviceaccount"
)

func TestForeignTokens(t *testing.T) {
	w := newWorld(t)
	stranger := newWorld(t)
	good := w.mint(t, serviceaccount.Bound{}, authenticationv1.TokenRequestSpec{}).Status.Token
	parts := strings.Split(good, ".")
	sign := func(url string, key *ecdsa.PrivateKey) string {
		issuer, err := NewIssuer(url, key)
		if err != nil {
			t.Fatal(err)
		}
		token, _, err := issuer.issue(grant{account: w.account, audiences: []string{issuerURL}, now: begin, life: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	encode := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	claims := claimsOf(t, good)
	hmacSigner, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	hmac, err := jwt.Signed(hmacSigner).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	forever := claimsOf(t, good)
	delete(forever, "exp")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: w.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	endless, err := jwt.Signed(signer).Claims(forever).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	delete(claims, "aud")
	noAudience, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token string
		error bool // else: not ours at all
	}{
		"empty":              {"", false},
		"no JWT":             {"abc", false},
		"two parts":          {parts[0] + "." + parts[1], false},
		"JSON form":          {`{"payload":"` + parts[1] + `","signatures":[]}`, false},
		"no base64":          {"!.!.!", false},
		"very long":          {good + strings.Repeat("A", longestToken), false},
		"no signature":       {parts[0] + "." + parts[1] + ".", true},
		"cut signature":      {good[:len(good)-2], true},
		"other signature":    {parts[0] + "." + parts[1] + "." + strings.Split(stranger.mint(t, serviceaccount.Bound{}, authenticationv1.TokenRequestSpec{}).Status.Token, ".")[2], true},
		"of another cluster": {stranger.mint(t, serviceaccount.Bound{}, authenticationv1.TokenRequestSpec{}).Status.Token, true},
		"another issuer":     {sign("https://evil.example.com", w.key), false},
		"alg none":           {encode(map[string]string{"alg": "none"}) + "." + parts[1] + ".", false},
		"HMAC":               {hmac, false},
		"never ends":         {endless, true},
		"for nobody":         {noAudience, true},
		"changed account":    {parts[0] + "." + encode(map[string]any{"iss": issuerURL, "sub": "system:serviceaccount:kube-system:root"}) + "." + parts[2], true},
	} {
		response, ok, err := w.verifier.AuthenticateToken(t.Context(), c.token)
		if ok || response != nil {
			t.Errorf("%s: accepted as %v", name, response)
		}
		if c.error != (err != nil) && name != "no signature" && name != "cut signature" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Changing any one character of a token makes it worthless.
func TestTampered(t *testing.T) {
	w := newWorld(t)
	good := w.mint(t, serviceaccount.Bound{}, authenticationv1.TokenRequestSpec{}).Status.Token
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	decoded := func(token string) string {
		var all string
		for _, p := range strings.Split(token, ".") {
			d, err := base64.RawURLEncoding.DecodeString(p)
			if err != nil {
				return ""
			}
			all += "." + string(d)
		}
		return all
	}
	rapid.Check(t, func(rt *rapid.T) {
		i := rapid.IntRange(0, len(good)-1).Draw(rt, "at")
		c := alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(rt, "to")]
		bad := good[:i] + string(c) + good[i+1:]
		// The last character of a part has bits that mean nothing.
		if bad == good || decoded(bad) == decoded(good) {
			return
		}
		if _, ok, _ := w.verifier.AuthenticateToken(t.Context(), bad); ok {
			rt.Fatalf("accepted %s", bad)
		}
	})
}

func FuzzToken(f *testing.F) {
	w := newWorld(f)
	good := w.mint(f, serviceaccount.Bound{Pod: w.bound.Pod}, authenticationv1.TokenRequestSpec{}).Status.Token
	for _, seed := range []string{good, "", ".", "..", "a.b.c", strings.Repeat(".", 100), "eyJhbGciOiJub25lIn0.e30.", good + "=", " " + good, good + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		response, ok, err := w.verifier.AuthenticateToken(t.Context(), token)
		if ok && (err != nil || response == nil || response.User.GetName() != "system:serviceaccount:ns:sa") {
			t.Fatalf("%v %v", response, err)
		}
		if ok && strings.TrimRight(token, "=") != good && strings.TrimSpace(token) != good {
			// Only the unused bits of the signature's last character may differ.
			if len(token) != len(good) || token[:len(good)-1] != good[:len(good)-1] {
				t.Fatalf("accepted %q", token)
			}
		}
	})
}
