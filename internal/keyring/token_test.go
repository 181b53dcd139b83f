package keyring

import (
	"errors"
	"strings"
	"testing"
)

func TestRotatedToken(t *testing.T) {
	kv := store(t)
	one := server(t, kv).must(t)
	old := one.secretText(t)
	two := server(t, kv).with(old).must(t).with("")
	fresh, err := Rotate(one.TokenFile)
	if err != nil || fresh == old {
		t.Fatalf("%v", err)
	}
	if ok, err := one.Settled(); ok || err != nil {
		t.Errorf("settled although a token waits: %v", err)
	}
	// Nothing has changed before the server starts.
	server(t, kv).with(old).must(t)
	one.must(t)
	if one.secretText(t) != fresh {
		t.Error("the new token is not kept")
	}
	if ok, err := one.Settled(); !ok || err != nil {
		t.Errorf("not settled: %v", err)
	}
	server(t, kv).with(old).refused(t, "not the token of the cluster")
	alike(t, one, server(t, kv).with(fresh).must(t))
	// The other server needs it at its next start, once.
	two.refused(t, "server-token: this is not the token")
	two.with(fresh).must(t)
	two.must(t)

	// A crash between the datastore and the file.
	again, err := Rotate(one.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.must(t).leave(again, fresh); err != nil {
		t.Fatal(err)
	}
	one.must(t)
	if one.secretText(t) != again {
		t.Error("the new token is lost")
	}
	// One that opens nothing can change nothing.
	if err := writeToken(one.TokenFile, old); err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(one.TokenFile); err != nil {
		t.Fatal(err)
	}
	one.refused(t, "cannot be changed")
}

// leave puts the files back to where they were before the new token was kept.
func (c Config) leave(fresh, old string) error {
	return errors.Join(writeToken(next(c.TokenFile), fresh), writeToken(c.TokenFile, old))
}

func TestParseToken(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for text, want := range map[string]Token{
		"0123456789abcdef\n":              {Secret: "0123456789abcdef"},
		"0123456789abcdef." + hash:        {Secret: "0123456789abcdef", Authority: hash},
		"short":                           {},
		"0123456789abcdef.":               {},
		"with blanks in the middle":       {},
		"abcdef.0123456789abcdef." + hash: {},
		"abcdef.0123456789abcdef":         {},
	} {
		got, err := ParseToken(text)
		if got != want || (err == nil) != (want.Secret != "") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if err == nil && got.String() != strings.TrimSpace(text) {
			t.Errorf("%q is printed as %q", text, got)
		}
	}
}
