package s3_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/internal/snapshot/s3"
	"berth.dev/berth/internal/snapshot/s3/s3test"
)

// bench is a store with TLS and how to use it.
type bench struct {
	*s3test.Store
	url    string
	config s3.Config
}

func newBench(t *testing.T) bench {
	t.Helper()
	b := bench{Store: s3test.New(t, "backups"), config: s3.Defaults()}
	server := httptest.NewTLSServer(b.Store)
	t.Cleanup(server.Close)
	b.url = server.URL
	c := &b.config
	c.Bucket, c.Folder, c.Endpoint, c.CredentialsFile = "backups", "/prod/", server.URL, s3test.Credentials(t)
	c.CAFile = write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), 0o644)
	return b
}

func (b bench) open(t *testing.T) *s3.Bucket {
	t.Helper()
	bucket, err := s3.Open(t.Context(), b.config)
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

func write(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return file
}

// random is what no part of it looks like another.
func random(t *testing.T, size int) (file string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	if _, err := rand.NewChaCha8([32]byte{byte(size)}).Read(content); err != nil {
		t.Fatal(err)
	}
	return write(t, string(content), 0o600), content
}

func TestThereAndBack(t *testing.T) {
	b := newBench(t)
	bucket := b.open(t)
	for name, size := range map[string]int{"small": 1 << 10, "in parts": 17<<20 + 3} {
		file, content := random(t, size)
		key := b.config.Under("c1", "n1", name)
		if err := bucket.Put(t.Context(), key, file, s3.About{Cluster: "c1", Revision: 7, Keys: 3}); err != nil {
			t.Fatal(err)
		}
		about, err := bucket.About(t.Context(), key)
		if err != nil || about == nil || about.Cluster != "c1" || about.Revision != 7 || about.Keys != 3 {
			t.Errorf("%s: %+v, %v", name, about, err)
		}
		var got bytes.Buffer
		if err := bucket.Get(t.Context(), key, &got); err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Errorf("%s: %d bytes, %v", name, got.Len(), err)
		}
	}
	b.Put("prod/c10/x", "of another")
	all, err := bucket.List(t.Context(), b.config.Under("c1"))
	if err != nil || len(all) != 2 || all[0].Key != "prod/c1/n1/in parts" || all[0].Size != 17<<20+3 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := bucket.Remove(t.Context(), "prod/c1/n1/small"); err != nil {
		t.Error(err)
	}
	if got := strings.Join(b.Keys(), " "); got != "prod/c10/x prod/c1/n1/in parts" && got != "prod/c1/n1/in parts prod/c10/x" {
		t.Error(got)
	}
}

// What is not what was put there is never taken for it; what somebody else put
// there is checked by who reads it.
func TestDamaged(t *testing.T) {
	b := newBench(t)
	bucket := b.open(t)
	file, content := random(t, 4096)
	if err := bucket.Put(t.Context(), "prod/x", file, s3.About{Cluster: "c"}); err != nil {
		t.Fatal(err)
	}
	content[77] ^= 1
	b.Put("prod/x", string(content))
	var got bytes.Buffer
	if err := bucket.Get(t.Context(), "prod/x", &got); err == nil || !strings.Contains(err.Error(), "s3://backups/prod/x is damaged") {
		t.Error(err)
	}
	b.Put("prod/foreign", "whatever")
	if about, err := bucket.About(t.Context(), "prod/foreign"); about != nil || err != nil {
		t.Error(about, err)
	}
	got.Reset()
	if err := bucket.Get(t.Context(), "prod/foreign", &got); err != nil || got.String() != "whatever" {
		t.Error(got.String(), err)
	}
	// Half of an answer.
	b.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/x") {
			return false
		}
		answer := httptest.NewRecorder()
		b.Store.Fault(nil)
		b.ServeHTTP(answer, r)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		_, _ = w.Write(answer.Body.Bytes()[:1000])
		panic(http.ErrAbortHandler)
	})
	got.Reset()
	if err := bucket.Get(t.Context(), "prod/x", &got); err == nil {
		t.Error("half of it was taken for the whole")
	}
}

// A copy that breaks off leaves no object, and nothing that is paid for.
func TestBrokenUpload(t *testing.T) {
	b := newBench(t)
	bucket := b.open(t)
	file, _ := random(t, 40<<20)
	ctx, cancel := context.WithCancel(t.Context())
	var aborted bool
	b.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		aborted = aborted || r.Method == http.MethodDelete && r.URL.Query().Has("uploadId")
		if r.URL.Query().Get("partNumber") != "2" {
			return false
		}
		s3test.Refuse(w, http.StatusForbidden, "AccessDenied", "no")
		return true
	})
	err := bucket.Put(ctx, "prod/big", file, s3.About{})
	if err == nil || !strings.Contains(err.Error(), "denies access") || len(b.Keys()) != 0 {
		t.Errorf("%v, %v", err, b.Keys())
	}
	if !aborted {
		t.Error("the store keeps the parts")
	}
	// The machine goes off: the parts stay, and the next turn removes them.
	b.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") == "2" {
			cancel()
		}
		if r.Method == http.MethodDelete {
			s3test.Refuse(w, http.StatusServiceUnavailable, "SlowDown", "no")
			return true
		}
		return false
	})
	if err := bucket.Put(ctx, "prod/big", file, s3.About{}); err == nil {
		t.Error("a copy that was given up is there")
	}
	aborted = false
	b.Fault(func(_ http.ResponseWriter, r *http.Request) bool {
		aborted = aborted || r.Method == http.MethodDelete && r.URL.Query().Has("uploadId")
		return false
	})
	if err := bucket.Abort(t.Context(), "prod"); err != nil || !aborted || len(b.Keys()) != 0 {
		t.Errorf("%v, %v, %v", err, aborted, b.Keys())
	}
}
