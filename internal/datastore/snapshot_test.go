package datastore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// saved is a file with a snapshot of a datastore that holds /registry/a.
func saved(t *testing.T) (file string, revision int64) {
	t.Helper()
	s := open(t, Config{Dir: filepath.Join(t.TempDir(), "etcd")})
	put, err := s.Client.Put(t.Context(), "/registry/a", "1")
	if err != nil {
		t.Fatal(err)
	}
	var copied bytes.Buffer
	if err := s.Snapshot(t.Context(), &copied); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client.Put(t.Context(), "/registry/later", "1"); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(file, copied.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, put.Header.Revision
}

// What was in the snapshot is there again, what came later is not, and whoever
// saw what came later is told that it has to look anew.
func TestSnapshotIsRestored(t *testing.T) {
	file, revision := saved(t)
	content, err := Inspect(file)
	if err != nil || content.Revision != revision || content.Keys < 1 || content.Size <= 0 {
		t.Fatalf("%+v, %v, want revision %d", content, err, revision)
	}
	dir := filepath.Join(t.TempDir(), "etcd")
	if err := Restore(file, dir); err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{Dir: dir, Self: Self{Name: "db1"}})
	got, err := s.Client.KV.Get(t.Context(), "/registry/", clientv3.WithPrefix())
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "1" {
		t.Fatalf("%v, %v", got, err)
	}
	if got.Header.Revision < revision+restoredAhead {
		t.Errorf("revision %d after %d", got.Header.Revision, revision)
	}
	watch := s.Client.Watch(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	if r := <-watch; !errors.Is(r.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a watch from before goes on: %v", r.Err())
	}
	if members, err := s.Members(t.Context()); err != nil || len(members) != 1 {
		t.Errorf("%v, %v", members, err)
	}
	if _, err := s.Client.Put(t.Context(), "/registry/b", "2"); err != nil {
		t.Error(err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	file, _ := saved(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	for _, c := range []struct {
		name    string
		content []byte
		says    string
	}{
		{"empty", nil, "is no snapshot of a datastore, or cut off"},
		{"something else", bytes.Repeat([]byte("x"), 10000), "is no snapshot of a datastore, or cut off"},
		{"cut off", whole[:len(whole)-4096], "is damaged"},
		{"damaged", damaged, "is damaged"},
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "etcd")
		if err := Restore(bad, dir); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := Inspect(bad); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if left, _ := filepath.Glob(dir + "*"); len(left) > 0 {
			t.Errorf("%s: %v is left", c.name, left)
		}
	}
	dir := t.TempDir()
	if err := Restore(file, dir); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Error(err)
	}
	if err := Restore(filepath.Join(dir, "none"), filepath.Join(dir, "etcd")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
