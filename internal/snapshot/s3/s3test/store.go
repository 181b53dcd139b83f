// Package s3test is an S3-compatible store for tests: in memory, with one bucket,
// and with faults on request.
package s3test

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Who may use the bucket.
const (
	AccessKey = "AKIABERTHTEST"
	Secret    = "a-secret-that-is-shown-nowhere"
)

// Store serves one bucket.
type Store struct {
	t      testing.TB
	bucket string
	memory *s3mem.Backend
	serve  http.Handler

	mu    sync.Mutex
	fault func(http.ResponseWriter, *http.Request) bool
}

// New makes a store with an empty bucket.
func New(t testing.TB, bucket string) *Store {
	t.Helper()
	memory := s3mem.New()
	if err := memory.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	return &Store{t: t, bucket: bucket, memory: memory, serve: gofakes3.New(memory, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()}
}

// Fault is asked about each request, and answers it when it returns true. nil is no fault.
func (s *Store) Fault(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// ServeHTTP implements http.Handler.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	switch {
	case fault != nil && fault(w, r):
	case !strings.Contains(r.Header.Get("Authorization"), "Credential="+AccessKey+"/"):
		Refuse(w, http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	default:
		s.serve.ServeHTTP(w, r)
	}
}

// Refuse answers with an error as a store does.
func Refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
}

// Deny refuses all that a fault is asked about.
func Deny(status int, code, message string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		Refuse(w, status, code, message)
		return true
	}
}

// Keys are all objects in the bucket, in order.
func (s *Store) Keys() (keys []string) {
	s.t.Helper()
	all, err := s.memory.ListBucket(s.bucket, &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, o := range all.Contents {
		keys = append(keys, o.Key)
	}
	return keys
}

// Put puts an object into the bucket, with nothing said of it, or replaces one
// and leaves what is said of it.
func (s *Store) Put(key, content string) {
	s.t.Helper()
	said := map[string]string{}
	if had, err := s.memory.HeadObject(s.bucket, key); err == nil {
		said = had.Metadata
	}
	said["Last-Modified"] = time.Now().UTC().Format(http.TimeFormat)
	if _, err := s.memory.PutObject(s.bucket, key, said, strings.NewReader(content), int64(len(content)), nil); err != nil {
		s.t.Fatal(err)
	}
}

// Damage puts a copy of an object under another key, with a bit of it flipped.
func (s *Store) Damage(from, to string) {
	s.t.Helper()
	had, err := s.memory.GetObject(s.bucket, from, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer had.Contents.Close()
	content, err := io.ReadAll(had.Contents)
	if err != nil {
		s.t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if _, err := s.memory.PutObject(s.bucket, to, had.Metadata, bytes.NewReader(content), int64(len(content)), nil); err != nil {
		s.t.Fatal(err)
	}
}

// Credentials writes a file for who may use the bucket.
func Credentials(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	text := "[default]\naws_access_key_id = " + AccessKey + "\naws_secret_access_key = " + Secret + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
