// Package documents serves OpenAPI v3: an index at /openapi/v3 and one document
// per group version. Those of the built-in ones are files made before the
// build, so that no server spends time and memory on making them; documents of
// custom resources and of remote servers are put in beside them.
package documents

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/munnerz/goautoneg"
	"k8s.io/kube-openapi/pkg/handler3"
)

// Path is where the index is; the documents are below.
const Path = "/openapi/v3"

// The content types of a document. The older name of the second is what some
// clients ask for; it is answered with the other.
const (
	typeJSON     = "application/json"
	typeProto    = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
	typeProtoOld = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"
)

// Service serves the documents of one server.
type Service struct {
	mu   sync.RWMutex
	docs map[string]*document
}

// document is one group version's.
type document struct {
	tag   string
	json  func() ([]byte, error)
	proto func() ([]byte, error)
}

func newDocument(tag string, text func() ([]byte, error)) *document {
	return &document{tag: tag, json: text, proto: sync.OnceValues(func() ([]byte, error) {
		text, err := text()
		if err != nil {
			return nil, err
		}
		return handler3.ToV3ProtoBinary(text)
	})}
}

// New returns a service with the documents of all built-in group versions.
func New(version string) (*Service, error) {
	docs, err := builtin(version)
	if err != nil {
		return nil, err
	}
	return &Service{docs: docs}, nil
}

// Put adds or replaces the document of a path ("apis/example.com/v1").
func (s *Service) Put(of string, text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[of] = newDocument(tag(text), func() ([]byte, error) { return text, nil })
}

// Delete takes away what Put added.
func (s *Service) Delete(of string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.docs, of)
}

// Knows reports whether there is a document of this group version.
func (s *Service) Knows(of string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, known := s.docs[of]
	return known
}

// ServeHTTP serves the index and the documents.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	of := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, Path), "/")
	if of == "" {
		s.serveIndex(w, r)
		return
	}
	s.mu.RLock()
	doc := s.docs[of]
	s.mu.RUnlock()
	if doc == nil {
		http.NotFound(w, r)
		return
	}
	doc.serve(w, r, of)
}

func (s *Service) serveIndex(w http.ResponseWriter, r *http.Request) {
	index := handler3.OpenAPIV3Discovery{Paths: map[string]handler3.OpenAPIV3DiscoveryGroupVersion{}}
	s.mu.RLock()
	for of, doc := range s.docs {
		index.Paths[of] = handler3.OpenAPIV3DiscoveryGroupVersion{ServerRelativeURL: doc.url(of)}
	}
	s.mu.RUnlock()
	text, err := json.Marshal(index)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("ETag", strconv.Quote(tag(text)))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// url names the document together with its content, so that clients may keep it.
func (d *document) url(of string) string {
	u := url.URL{Path: Path + "/" + of, RawQuery: url.Values{"hash": {d.tag}}.Encode()}
	return u.String()
}

func (d *document) serve(w http.ResponseWriter, r *http.Request, of string) {
	accept := r.Header.Get("Accept")
	if accept == "" {
		accept = "*/*"
	}
	w.Header().Set("Vary", "Accept")
	content, kind := d.json, typeJSON
	switch goautoneg.Negotiate(accept, []string{typeJSON, typeProto, typeProtoOld}) {
	case typeJSON:
	case typeProto, typeProtoOld:
		content, kind = d.proto, typeProto
	default:
		w.WriteHeader(http.StatusNotAcceptable)
		return
	}
	if hash := r.URL.Query().Get("hash"); hash != "" {
		if hash != d.tag {
			http.Redirect(w, r, d.url(of), http.StatusMovedPermanently)
			return
		}
		w.Header().Set("Cache-Control", "public, immutable")
		w.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}
	text, err := content()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", strconv.Quote(d.tag))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// tag is an ETag without its quotes.
func tag(parts ...[]byte) string {
	h := sha512.New()
	for _, p := range parts {
		h.Write(p)
	}
	return fmt.Sprintf("%X", h.Sum(nil))
}
