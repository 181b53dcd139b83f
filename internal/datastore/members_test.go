package datastore

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"berth.dev/berth/internal/pki"
)

// machine is a server's part of a cluster of embedded members.
type machine struct {
	t     *testing.T
	name  string
	dir   string
	self  Self
	store *Store
}

// newMachine makes one whose certificates are of the authority of with, or of its own.
func newMachine(t *testing.T, name string, with *machine) *machine {
	t.Helper()
	m := &machine{t: t, name: name, dir: t.TempDir()}
	keys := filepath.Join(m.dir, "pki")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	if with != nil {
		for _, file := range []string{"peer-ca.key", "peer-ca.crt"} {
			data, err := os.ReadFile(filepath.Join(with.dir, "pki", file))
			if err == nil {
				err = os.WriteFile(filepath.Join(keys, file), data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	peer, err := pki.EnsurePeer(keys, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A port of its own: members are told where the others are before they listen.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	m.self = Self{
		Name: name, Listen: address, URL: "https://" + address, ServerName: pki.PeerName,
		CAFile: peer.CAFile, CertFile: peer.CertFile, KeyFile: peer.KeyFile,
	}
	t.Cleanup(func() { m.stop() })
	return m
}

func (m *machine) open() error {
	s, err := Open(m.t.Context(), Config{Dir: filepath.Join(m.dir, "etcd"), Self: m.self})
	if err != nil {
		return err
	}
	m.store = s
	return s.WaitReady(m.t.Context())
}

func (m *machine) start() *machine {
	m.t.Helper()
	if err := m.open(); err != nil {
		m.t.Fatal(err)
	}
	return m
}

func (m *machine) stop() {
	if m.store != nil {
		_ = m.store.Close()
	}
}

// join makes m a member of the cluster of first.
func (m *machine) join(first *machine) *machine {
	m.t.Helper()
	m.until("admitted", func(ctx context.Context) (err error) {
		m.self.Join, err = first.store.Admit(ctx, m.self.URL)
		return err
	})
	m.start()
	m.until("promoted", m.store.Promote)
	return m
}

// until tries again while etcd says not yet.
func (m *machine) until(what string, try func(context.Context) error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			m.t.Fatalf("%s is not %s: %v", m.name, what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (m *machine) writes(key string) {
	m.t.Helper()
	if _, err := m.store.Client.Put(m.t.Context(), key, m.name); err != nil {
		m.t.Fatalf("%s cannot write: %v", m.name, err)
	}
}

func (m *machine) reads(key, want string) {
	m.t.Helper()
	got, err := m.store.Client.KV.Get(m.t.Context(), key)
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != want {
		m.t.Fatalf("%s reads %v, %v; want %s", m.name, got, err, want)
	}
}

func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	one := newMachine(t, "one", nil).start()
	if !one.store.Alone() {
		t.Error("a new member is not alone")
	}
	one.writes("a")
	// What may only be done alone ends before another is let in.
	alone, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- one.store.WhileAlone(t.Context(), func(ctx context.Context) error {
			close(alone)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-alone
	two := newMachine(t, "two", one).join(one)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("what was done alone ended with %v", err)
		}
	default:
		t.Error("another came while one acted alone")
	}
	if err := one.store.WhileAlone(t.Context(), func(context.Context) error { return errors.New("acts") }); err != nil || one.store.Alone() {
		t.Error("it believes to be alone:", err)
	}
	two.reads("a", "one")
	two.writes("b")
	one.reads("b", "two")

	// A member that has not started is forgotten when it asks again.
	three := newMachine(t, "three", one)
	three.until("admitted", func(ctx context.Context) error { _, err := one.store.Admit(ctx, three.self.URL); return err })
	three.join(two)
	all, err := three.store.Members(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("members: %+v, %v", all, err)
	}
	var leaders, selves int
	for i, want := range []string{"one", "three", "two"} {
		if all[i].Name != want || all[i].Learner {
			t.Errorf("member %d: %+v", i, all[i])
		}
		if all[i].Leader {
			leaders++
		}
		if all[i].Self && all[i].Name == "three" {
			selves++
		}
	}
	if leaders != 1 || selves != 1 {
		t.Errorf("%d leaders and %d selves: %+v", leaders, selves, all)
	}

	// Any one may go, and come back.
	one.stop()
	three.writes("c")
	two.reads("c", "three")
	one.self.Join = nil
	one.start()
	one.reads("c", "three")

	// One that is removed ends and cannot come back.
	three.until("removed", func(ctx context.Context) error { return two.store.Remove(ctx, three.id()) })
	<-three.store.Ended()
	three.stop()
	three.self.Join = nil
	if err := three.open(); !errors.Is(err, ErrRemoved) {
		t.Errorf("a removed member starts: %v", err)
	}
	two.writes("d")
	one.reads("d", "two")
}

func (m *machine) id() uint64 { return uint64(m.store.member.etcd.Server.MemberID()) }

func TestQuorumIsLostAndFound(t *testing.T) {
	t.Parallel()
	one := newMachine(t, "one", nil).start()
	if q, err := one.store.Quorum(); q != nil || err != nil {
		t.Errorf("alone: %v, %v", q, err)
	}
	two := newMachine(t, "two", one).join(one)
	has, err := two.store.Quorum()
	if err != nil {
		t.Fatal(err)
	}
	one.stop()
	select {
	case <-has.Done():
	case <-time.After(time.Minute):
		t.Fatal("the loss is not noticed")
	}
	if _, err := two.store.Quorum(); !errors.Is(err, ErrNoQuorum) {
		t.Errorf("got %v", err)
	}
	one.self.Join = nil
	one.start()
	two.until("in quorum", func(context.Context) error { _, err := two.store.Quorum(); return err })
	two.writes("a")

	// When one is lost for ever the other goes on alone, if it is told to.
	one.stop()
	two.stop()
	two.self.Join, two.self.Alone = nil, true
	two.start()
	two.reads("a", "two")
	two.writes("b")
	if !two.store.Alone() {
		t.Error("it waits for others")
	}
	two.stop()
	two.self.Alone = false
	two.start().reads("b", "two")
	// And others can come again.
	three := newMachine(t, "three", two).join(two)
	three.reads("b", "two")
}

// Who has no certificate of the cluster's peer authority is not let in.
func TestStrangersAreNoMembers(t *testing.T) {
	one := newMachine(t, "one", nil).start()
	stranger := newMachine(t, "stranger", nil)
	var err error
	if stranger.self.Join, err = one.store.Admit(t.Context(), stranger.self.URL); err != nil {
		t.Fatal(err)
	}
	if err := stranger.open(); err == nil {
		t.Error("it has joined")
	}
	one.writes("a") // and does no harm
}

func TestInitialCluster(t *testing.T) {
	self := Self{Name: "two", URL: "https://b:2380", Join: []Member{{Name: "one", URL: "https://a:2380"}, {URL: "https://b:2380"}}}
	if got, want := initialCluster("two", self), "-0=https://a:2380,two=https://b:2380"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
