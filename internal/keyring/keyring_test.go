package keyring

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"berth.dev/berth/internal/pki"
)

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
