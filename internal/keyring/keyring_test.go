package keyring

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/pki"
	"berth.dev/berth/internal/seal"
)

var ranges = join.Cluster{ClusterCIDRs: []string{"10.42.0.0/16"}, ServiceCIDRs: []string{"10.43.0.0/16"}, ClusterDomain: "cluster.local"}

func store(t *testing.T) clientv3.KV {
	t.Helper()
	s, err := datastore.Open(t.Context(), datastore.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.Client.KV
}

// server is one with an empty directory.
func server(t *testing.T, kv clientv3.KV) Config {
	t.Helper()
	dir := t.TempDir()
	return Config{
		KV: kv, Prefix: "/registry", Dir: filepath.Join(dir, "pki"), TokenFile: filepath.Join(dir, "server-token"),
		Cluster: ranges, Cost: seal.Cost{Time: 1, Memory: 64, Threads: 1},
	}
}

func (c Config) must(t *testing.T) Config {
	t.Helper()
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c Config) with(token string) Config {
	c.Token = Token{Secret: token}
	return c
}

// refused checks that nothing is written and the error is one line with these words.
func (c Config) refused(t *testing.T, words ...string) {
	t.Helper()
	before := tree(t, filepath.Dir(c.Dir))
	err := c.Sync(t.Context())
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %v", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	if c.Token.Secret != "" && strings.Contains(err.Error(), c.Token.Secret) {
		t.Errorf("the token is told: %v", err)
	}
	if diff := cmp.Diff(before, tree(t, filepath.Dir(c.Dir))); diff != "" {
		t.Errorf("written although it was refused:\n%s", diff)
	}
}

func (c Config) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (c Config) put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c Config) secretText(t *testing.T) string {
	t.Helper()
	s, err := ReadToken(c.TokenFile)
	if err != nil || s == "" {
		t.Fatalf("%q, %v", s, err)
	}
	return s
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func alike(t *testing.T, a, b Config) {
	t.Helper()
	one, err1 := pki.ReadShared(a.Dir)
	two, err2 := pki.ReadShared(b.Dir)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("the servers differ:\n%s", diff)
	}
}

func TestSecondServerNeedsOnlyTheToken(t *testing.T) {
	kv := store(t)
	one := server(t, kv)
	one.Encrypt = true
	one.must(t)
	two := server(t, kv).with(one.secretText(t)).must(t)
	alike(t, one, two)
	if two.read(t, pki.EncryptionFile) == "" {
		t.Error("no key to decrypt Secrets with")
	}
	for _, c := range []Config{one, two} {
		for path := range tree(t, filepath.Dir(c.Dir)) {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
		// What was agreed on is enough for a certificate authority to start with.
		if _, err := pki.Ensure(c.Dir, pki.Options{NodeName: "n"}); err != nil {
			t.Error(err)
		}
	}
	// The next start needs no token, and writes nothing.
	two = two.with("")
	before := tree(t, filepath.Dir(two.Dir))
	two.must(t)
	if diff := cmp.Diff(before, tree(t, filepath.Dir(two.Dir))); diff != "" {
		t.Error(diff)
	}
	if ok, err := two.Settled(); !ok || err != nil {
		t.Errorf("settled: %v, %v", ok, err)
	}
}

func TestNothingSecretIsReadableInTheDatastore(t *testing.T) {
	kv := store(t)
	one := server(t, kv).must(t)
	got, err := kv.Get(t.Context(), "/", clientv3.WithPrefix())
	if err != nil || len(got.Kvs) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	for _, secret := range []string{"PRIVATE KEY", "CERTIFICATE", one.secretText(t), strings.TrimSpace(one.read(t, "join.token"))} {
		if strings.Contains(string(got.Kvs[0].Value), secret) {
			t.Errorf("%q is readable", secret)
		}
	}
}

func TestWrongTokenIsRefused(t *testing.T) {
	kv := store(t)
	one := server(t, kv).must(t)
	server(t, kv).refused(t, "--token-file", "berth token --server")
	server(t, kv).with("a-made-up-token-of-mine").refused(t, "--token: this is not the token of the cluster")
	// Also one that has been a server before.
	one.with("a-made-up-token-of-mine").refused(t, "--token: this is not the token")
	// The token's own name of the authority.
	two := server(t, kv)
	two.Token = Token{Secret: one.secretText(t), Authority: strings.Repeat("0", 64)}
	two.refused(t, "authority of another cluster")
	ca, err := pki.Files{"ca.crt": []byte(one.read(t, "ca.crt"))}.Authority()
	if err != nil {
		t.Fatal(err)
	}
	two.Token = NewToken(one.secretText(t), ca)
	two.must(t)
	// A token that names an authority finds no cluster in an empty datastore.
	three := server(t, store(t))
	three.Token = NewToken(one.secretText(t), ca)
	three.refused(t, "authority of another cluster")
}

func TestAnotherClustersDirectoryIsRefused(t *testing.T) {
	one := server(t, store(t)).must(t)
	kv := store(t)
	other := server(t, kv).must(t)
	one.KV = kv
	if err := os.Remove(one.recordFile()); err != nil { // as from an older version
		t.Fatal(err)
	}
	one.with(other.secretText(t)).refused(t, "is of another cluster than the one in the datastore")
	fresh := server(t, kv).with(other.secretText(t))
	fresh.Cluster.ServiceCIDRs = []string{"10.96.0.0/12"}
	fresh.refused(t, "--service-cidr", "10.43.0.0/16", "cluster.local")
}

// An older version's files are shared as they are.
func TestFilesOfBeforeAreKept(t *testing.T) {
	kv := store(t)
	one := server(t, kv)
	if _, err := pki.Ensure(one.Dir, pki.Options{NodeName: "n"}); err != nil {
		t.Fatal(err)
	}
	ca := one.read(t, "ca.key")
	one.must(t)
	if one.read(t, "ca.key") != ca {
		t.Error("the authority was replaced")
	}
	alike(t, one, server(t, kv).with(one.secretText(t)).must(t))
	// Half an authority is shared with nobody.
	half := server(t, store(t))
	if _, err := pki.Ensure(half.Dir, pki.Options{NodeName: "n"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(half.Dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if err := half.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "ca.key is missing") {
		t.Errorf("got %v", err)
	}
}

func TestChangesOfOneServerReachTheOthers(t *testing.T) {
	kv := store(t)
	one := server(t, kv).must(t)
	two := server(t, kv).with(one.secretText(t)).must(t).with("")
	old := one.read(t, "join.token")
	if err := os.Remove(filepath.Join(one.Dir, "join.token")); err != nil {
		t.Fatal(err)
	}
	one.must(t)
	two.must(t)
	alike(t, one, two)
	if two.read(t, "join.token") == old {
		t.Error("no new join token")
	}
	// Keys that are lost come back, an authority too.
	ca := two.read(t, "ca.key")
	for _, name := range []string{"ca.key", "ca.crt", "front-proxy-ca.crt"} {
		if err := os.Remove(filepath.Join(two.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	two.must(t)
	alike(t, one, two)
	if two.read(t, "ca.key") != ca {
		t.Error("another authority")
	}
	// One that switches encryption on gives the others the key.
	one.Encrypt = true
	one.must(t)
	two.must(t)
	alike(t, one, two)
	// Both have changed the same file: nothing is overwritten.
	one.put(t, pki.EncryptionFile, "# one\n")
	two.put(t, pki.EncryptionFile, "# two\n")
	one.must(t)
	two.refused(t, "was changed here and by another server")
	// A damaged file is not shared.
	one.put(t, "ca.key", "damaged")
	one.refused(t, "ca.key", "delete it and start again")
}

func TestChangedSealIsRefused(t *testing.T) {
	kv := store(t)
	one := server(t, kv).must(t)
	got, err := kv.Get(t.Context(), one.key())
	if err != nil {
		t.Fatal(err)
	}
	text := got.Kvs[0].Value
	text[len(text)-10] ^= 1
	if _, err := kv.Put(t.Context(), one.key(), string(text)); err != nil {
		t.Fatal(err)
	}
	server(t, kv).with(one.secretText(t)).refused(t)
	one.refused(t)
}

// race lets another server be faster once.
type race struct {
	clientv3.KV
	before func()
}

func (r *race) Txn(ctx context.Context) clientv3.Txn {
	if f := r.before; f != nil {
		r.before = nil
		f()
	}
	return r.KV.Txn(ctx)
}

func TestTwoFirstServersAgree(t *testing.T) {
	kv := store(t)
	const token = "made-up-by-the-user"
	faster := server(t, kv).with(token)
	slower := server(t, &race{KV: kv, before: func() { faster.must(t) }}).with(token).must(t)
	alike(t, faster, slower)

	// Without a token that both were given, the slower one is refused.
	kv = store(t)
	faster = server(t, kv)
	slower = server(t, &race{KV: kv, before: func() { faster.must(t) }})
	slower.refused(t, "--token-file")
	// So is a change that another has made meanwhile: it is looked at anew.
	kv = store(t)
	one := server(t, kv).must(t)
	two := server(t, kv).with(one.secretText(t)).must(t)
	two.KV = &race{KV: kv, before: func() {
		if err := os.Remove(filepath.Join(one.Dir, "sa.key")); err != nil {
			t.Fatal(err)
		}
		one.must(t)
	}}
	if err := os.Remove(filepath.Join(two.Dir, "join.token")); err != nil {
		t.Fatal(err)
	}
	two.must(t)
	one.must(t)
	alike(t, one, two)
}

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
