package join

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/pki"
)

func authority(t *testing.T) *pki.Set {
	t.Helper()
	set, err := pki.Ensure(t.TempDir(), pki.Options{NodeName: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestToken(t *testing.T) {
	set := authority(t)
	token := NewToken(set.JoinToken, set.CA.Cert)
	got, err := ParseToken(" " + token.String() + "\n")
	if err != nil || got != token {
		t.Errorf("%v, %v; want %v", got, err, token)
	}
	token.Expires = time.Unix(1767355200, 0).UTC()
	if got, err := ParseToken(token.String()); err != nil || got != token || !strings.HasSuffix(token.String(), ".1767355200") {
		t.Errorf("%v, %v; want %v", got, err, token)
	}
	token.Expires = time.Time{}
	for _, text := range []string{"", set.JoinToken, token.String() + ".", token.String() + ".x", token.String() + ".1.2", set.JoinToken + ".", token.String() + "0", "A" + token.String()[1:], token.Authority} {
		if got, err := ParseToken(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// serve shows certificates until the test ends.
func serve(t *testing.T, p pki.Pair) (url string) {
	t.Helper()
	pair, err := p.TLS()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _ = conn.(*tls.Conn).HandshakeContext(t.Context()); conn.Close() }()
		}
	}()
	return "https://" + ln.Addr().String()
}

func TestFetchAuthority(t *testing.T) {
	ours, other := authority(t), authority(t)
	token := NewToken(ours.JoinToken, ours.CA.Cert)
	got, err := FetchAuthority(t.Context(), serve(t, ours.APIServer), token)
	if err != nil || string(got) != string(ours.CA.CertPEM) {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := FetchAuthority(t.Context(), serve(t, other.APIServer), token); !errors.Is(err, ErrForeign) {
		t.Errorf("another cluster: %v", err)
	}
	bundle := slices.Concat(other.CA.CertPEM, ours.CA.CertPEM)
	for _, x := range []struct {
		authority []byte
		want      bool
	}{{got, true}, {bundle, true}, {other.CA.CertPEM, false}, {nil, false}, {[]byte("rubbish"), false}} {
		if names := token.Names(x.authority); names != x.want {
			t.Errorf("that the token names %q is said to be %t", x.authority, names)
		}
	}
	// Who only shows our authority, which everybody may have, has not proved anything.
	pretender := other.APIServer
	leaf, _ := pem.Decode(other.APIServer.CertPEM)
	pretender.CertPEM = append(pem.EncodeToMemory(leaf), ours.CA.CertPEM...)
	if _, err := FetchAuthority(t.Context(), serve(t, pretender), token); err == nil {
		t.Error("a pretender is believed")
	}
	// A node of the cluster is no server.
	node := ours.NodeServing
	node.CertPEM = append(slices.Clone(node.CertPEM), ours.CA.CertPEM...)
	if _, err := FetchAuthority(t.Context(), serve(t, node), token); err == nil || !strings.Contains(err.Error(), ServerName) {
		t.Errorf("a node that pretends to be a server: %v", err)
	}
}

func TestAddress(t *testing.T) {
	for server, want := range map[string]string{
		"https://a:1": "a:1", "https://a": "a:6443", "https://[fd00::1]": "[fd00::1]:6443", "https://a/": "a:6443",
		"http://a": "", "a:6443": "", "https://": "", "https://a/b": "", "": "",
	} {
		if got, err := Address(server); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", server, got, err, want)
		}
	}
}

func TestServers(t *testing.T) {
	down := map[string]bool{}
	var asked []string
	s := NewServers("front:1")
	s.Dialer = func(_ context.Context, _, address string) (net.Conn, error) {
		asked = append(asked, address)
		if down[address] {
			return nil, errors.New(address + " is down")
		}
		return &net.TCPConn{}, nil
	}
	dial := func(want ...string) error {
		t.Helper()
		asked = nil
		_, err := s.Dial(t.Context(), "tcp", "any:1")
		if !slices.Equal(asked, want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
		return err
	}
	if err := dial("front:1"); err != nil {
		t.Error(err)
	}
	if !s.Know([]string{"a:1", "b:1"}) || s.Know([]string{"a:1", "b:1"}) || s.Know(nil) {
		t.Error("what is new is not told from what is known")
	}
	down["front:1"], down["a:1"] = true, true
	if err := dial("front:1", "a:1", "b:1"); err != nil {
		t.Error(err)
	}
	if err := dial("b:1"); err != nil { // the one that answered last is asked first
		t.Error(err)
	}
	s.Know([]string{"c:1", "b:1"})
	if want := []string{"b:1", "front:1", "c:1"}; !slices.Equal(s.Addresses(), want) {
		t.Errorf("knows %v, want %v", s.Addresses(), want)
	}
	down["b:1"], down["c:1"] = true, true
	if err := dial("b:1", "front:1", "c:1"); err == nil || !strings.Contains(err.Error(), "no server answers") {
		t.Errorf("all down: %v", err)
	}
}

func TestLeave(t *testing.T) {
	s := NewServers("a:1")
	if s.Leave() {
		t.Error("there is no other")
	}
	s.Know([]string{"a:1", "b:1", "c:1"})
	if !s.Leave() || s.Leave() {
		t.Error("each answer of a lost server is a reason to leave the next one")
	}
	if got := s.Addresses(); !slices.Equal(got, []string{"b:1", "c:1", "a:1"}) {
		t.Errorf("got %v", got)
	}
}
