package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func open(t *testing.T, file string, others ...string) *store {
	t.Helper()
	s, err := openStore(file, "key", others)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// What was acknowledged is there after a crash in the middle of the next line.
func TestStoreReadsWhatItWrote(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders")
	s := open(t, file)
	for _, id := range []string{"a", "b", "a"} {
		if err := s.keep(order{ID: id, Product: "rope", Quantity: 2}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"id":"c","prod`)
	f.Close()
	s = open(t, file)
	if len(s.log) != 2 || s.sold["rope"] != 4 {
		t.Fatalf("%+v, %v", s.log, s.sold)
	}
	if err := s.keep(order{ID: "d"}); err != nil {
		t.Fatal(err)
	}
	if s = open(t, file); len(s.log) != 3 || s.log[2].ID != "d" {
		t.Fatalf("%+v", s.log)
	}
}

// A member passes orders on at once, and one that was away reads them later,
// also when the other one has lost its disk meanwhile.
func TestMembersBecomeAlike(t *testing.T) {
	dir := t.TempDir()
	b := open(t, filepath.Join(dir, "b"))
	member := httptest.NewServer(b.handler())
	defer member.Close()
	a := open(t, filepath.Join(dir, "a"), member.URL)
	first := httptest.NewServer(a.handler())
	defer first.Close()
	buy := func(id string) {
		t.Helper()
		if err := (storeClient{[]string{first.URL}, "key"}).keep(t.Context(), order{ID: id, Quantity: 1}); err != nil {
			t.Fatal(err)
		}
	}
	buy("1")
	if len(b.log) != 1 {
		t.Fatalf("the other member has %v", b.log)
	}
	member.Close()
	buy("2")
	b = open(t, filepath.Join(dir, "b"), first.URL)
	for _, c := range []struct {
		what string
		want int
	}{{"away", 2}, {"again", 2}} {
		if err := b.read(t.Context(), first.URL); err != nil || len(b.log) != c.want || b.seen[first.URL] != 2 {
			t.Fatalf("%s: %v, %v", c.what, b.log, err)
		}
	}
	fresh := open(t, filepath.Join(dir, "fresh"))
	empty := httptest.NewServer(fresh.handler())
	defer empty.Close()
	b.seen[empty.URL] = 2
	if err := b.read(t.Context(), empty.URL); code(err) != http.StatusGone || b.seen[empty.URL] != 0 {
		t.Fatalf("%v, %v", err, b.seen)
	}
	if _, err := (storeClient{[]string{first.URL}, "wrong"}).orders(t.Context()); code(err) != http.StatusUnauthorized {
		t.Errorf("a wrong key: %v", err)
	}
}

// Who does not know yet that a pod is going still gets an answer; then it ends.
func TestServesOnWhileRequestsCome(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l, 3*time.Second, http.HandlerFunc(healthy)) }()
	get := func() error { return ask(t.Context(), http.MethodGet, "http://"+addr+"/", nil, nil, nil) }
	if err := get(); err != nil {
		t.Fatal(err)
	}
	end()
	if err := get(); err != nil {
		t.Errorf("after it was told to end: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Each member was asked while it was away: the next round finds one.
func TestAnyMember(t *testing.T) {
	c := storeClient{members: []string{"a", "b"}}
	asked := 0
	if err := c.any(t.Context(), time.Minute, "", func(string) error {
		if asked++; asked < 3 {
			return errors.New("away")
		}
		return nil
	}); err != nil || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	for _, c := range []struct {
		patience time.Duration
		err      error
	}{{0, errors.New("away")}, {time.Minute, &refused{404, "no such order"}}} {
		asked = 0
		client := storeClient{members: []string{"a", "b"}}
		if err := client.any(t.Context(), c.patience, "", func(string) error { asked++; return c.err }); !errors.Is(err, c.err) || asked != 2 {
			t.Errorf("%v: asked %d times: %v", c.err, asked, err)
		}
	}
}
