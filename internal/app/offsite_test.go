package app

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/internal/snapshot/s3"
	"berth.dev/berth/internal/snapshot/s3/s3test"
)

// In the bucket a server sees its own folder only, and removes only what a server
// of its cluster has put there.
func TestStoreKeepsToItsOwn(t *testing.T) {
	memory := s3test.New(t, "backups")
	server := httptest.NewServer(memory)
	t.Cleanup(server.Close)
	c := s3.Defaults()
	c.Bucket, c.Endpoint, c.CredentialsFile = "backups", server.URL, s3test.Credentials(t)
	bucket, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(file, []byte("half a snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, cluster := range map[string]string{"c1/n1/mine": "c1", "c1/n1/theirs": "c2", "c1/n1/below/mine": "c1", "c1/n10/mine": "c1"} {
		if err := bucket.Put(t.Context(), key, file, s3.About{Cluster: cluster}); err != nil {
			t.Fatal(err)
		}
	}
	memory.Put("c1/n1/nobodys", "x")
	s := store{bucket, "c1"}
	names, err := s.List(t.Context(), "c1/n1")
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "mine nobodys theirs" || err != nil {
		t.Error(got, err)
	}
	for _, name := range []string{"theirs", "nobodys"} {
		if err := s.Remove(t.Context(), "c1/n1/"+name); err == nil || !strings.Contains(err.Error(), "not put there by a server of this cluster") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Remove(t.Context(), "c1/n1/mine"); err != nil {
		t.Error(err)
	}
	if err := s.Send(t.Context(), "c1/n1/half", file); err == nil || !strings.Contains(err.Error(), "no snapshot of a datastore") {
		t.Error(err)
	}
	if got := len(memory.Keys()); got != 4 {
		t.Errorf("there are %v", memory.Keys())
	}
}
