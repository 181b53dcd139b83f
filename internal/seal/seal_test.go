package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// cheap keeps the tests fast; what it costs is not what they are about.
var cheap = Cost{Time: 1, Memory: 64, Threads: 1}

func TestOpensWithTheTokenOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token, other := rapid.String().Draw(t, "token"), rapid.String().Draw(t, "other")
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		sealed, err := cheap.Seal(token, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Open(token, sealed); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("got %q, %v", got, err)
		}
		if other != token {
			if got, err := Open(other, sealed); !errors.Is(err, ErrToken) || got != nil {
				t.Fatalf("another token: %q, %v", got, err)
			}
		}
	})
}

func TestTwoSealsDiffer(t *testing.T) {
	one, err1 := cheap.Seal("token", []byte("text"))
	two, err2 := cheap.Seal("token", []byte("text"))
	if err1 != nil || err2 != nil || bytes.Equal(one, two) {
		t.Errorf("%v, %v; equal: %v", err1, err2, bytes.Equal(one, two))
	}
}

// Every field is under the seal: changed by one bit, nothing is opened.
func TestTamperingIsFound(t *testing.T) {
	sealed, err := cheap.Seal("token", []byte("the keys of the cluster"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(e *envelope){
		"text":      func(e *envelope) { e.Text[0] ^= 1 },
		"tag":       func(e *envelope) { e.Text[len(e.Text)-1] ^= 1 },
		"cut":       func(e *envelope) { e.Text = e.Text[:len(e.Text)-1] },
		"no text":   func(e *envelope) { e.Text = nil },
		"nonce":     func(e *envelope) { e.Nonce[0] ^= 1 },
		"short":     func(e *envelope) { e.Nonce = e.Nonce[1:] },
		"salt":      func(e *envelope) { e.Salt[0] ^= 1 },
		"time":      func(e *envelope) { e.Time++ },
		"memory":    func(e *envelope) { e.Memory++ },
		"a bomb":    func(e *envelope) { e.Memory = 1 << 31 },
		"no passes": func(e *envelope) { e.Time = 0 },
		"no lanes":  func(e *envelope) { e.Threads = 0 },
		"version":   func(e *envelope) { e.Version++ },
		"kdf":       func(e *envelope) { e.KDF = "none" },
		"cipher":    func(e *envelope) { e.Cipher = "none" },
	} {
		t.Run(name, func(t *testing.T) {
			var e envelope
			if err := json.Unmarshal(sealed, &e); err != nil {
				t.Fatal(err)
			}
			change(&e)
			changed, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Open("token", changed); err == nil {
				t.Errorf("opened: %q", got)
			}
		})
	}
	if _, err := Open("token", []byte("{")); err == nil {
		t.Error("half a text was opened")
	}
}

func TestDefaultOpens(t *testing.T) {
	sealed, err := Default.Seal("token", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Open("token", sealed); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}
