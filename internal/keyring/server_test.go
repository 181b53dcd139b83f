package keyring

import (
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
