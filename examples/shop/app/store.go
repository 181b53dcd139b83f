package main

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
)

// store is one member: a log of orders that only ever grows, on its own disk.
// Orders are never changed, so members that have the same orders are alike in
// whatever sequence these came.
type store struct {
	key    string
	others []string

	mu   sync.Mutex // guards all below
	file *os.File
	log  []order
	byID map[string]int // place in log
	sold map[string]int
	seen map[string]int // how much of each other member's log was read
	even bool           // the others were asked once since the start
}

// openStore reads the log; a line that a crash cut off was never acknowledged
// and goes.
func openStore(name, key string, others []string) (*store, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &store{key: key, others: others, file: f, byID: map[string]int{}, sold: map[string]int{}, seen: map[string]int{}}
	size := int64(0)
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, errors.Join(err, f.Close())
		}
		var o order
		if err != nil || json.Unmarshal(line, &o) != nil {
			break
		}
		size += int64(len(line))
		s.remember(o)
	}
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Seek(size, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *store) close() { s.file.Close() }

// remember takes orders into memory. The lock is held.
func (s *store) remember(o order) {
	s.byID[o.ID] = len(s.log)
	s.log = append(s.log, o)
	s.sold[o.Product] += o.Quantity
}

// keep has those orders that are new on the disk before it returns.
func (s *store) keep(orders ...order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text bytes.Buffer
	var fresh []order
	for _, o := range orders {
		if _, known := s.byID[o.ID]; known {
			continue
		}
		line, err := json.Marshal(o)
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
		fresh = append(fresh, o)
	}
	if len(fresh) == 0 {
		return nil
	}
	at, err := s.file.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = s.file.Write(text.Bytes())
	}
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		// Half a line must not stand before the next one.
		_, back := s.file.Seek(at, io.SeekStart)
		return errors.Join(fmt.Errorf("keep an order: %w", err), s.file.Truncate(at), back)
	}
	for _, o := range fresh {
		s.remember(o)
	}
	return nil
}

func (s *store) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("PUT /orders/{id}", s.guarded(s.put))
	mux.HandleFunc("GET /orders", s.guarded(s.list))
	mux.HandleFunc("GET /orders/{id}", s.guarded(s.get))
	mux.HandleFunc("GET /sold", s.guarded(s.counts))
	return mux
}

// guarded lets in who knows the key.
func (s *store) guarded(h http.HandlerFunc) http.HandlerFunc {
	want := []byte("Bearer " + s.key)
	return func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "the store's key is wanted", http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

// readyz says that this member has what the others had.
func (s *store) readyz(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.even {
		http.Error(w, "not all others were asked yet", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *store) put(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil || o.ID != r.PathValue("id") {
		http.Error(w, "no order", http.StatusBadRequest)
		return
	}
	if err := s.keep(o); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if r.Header.Get(copyHeader) == "" {
		s.copy(r.Context(), o)
	}
	w.WriteHeader(http.StatusNoContent)
}

// list answers with the log, from ?after= on.
func (s *store) list(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.Atoi(r.URL.Query().Get("after"))
	s.mu.Lock()
	if after < 0 || after > len(s.log) {
		s.mu.Unlock()
		http.Error(w, "this disk never had so many orders", http.StatusGone)
		return
	}
	out := append([]order{}, s.log[after:]...)
	s.mu.Unlock()
	answer(w, http.StatusOK, out)
}

func (s *store) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	i, ok := s.byID[r.PathValue("id")]
	var o order
	if ok {
		o = s.log[i]
	}
	s.mu.Unlock()
	if !ok {
		http.Error(w, "there is no such order", http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, o)
}

func (s *store) counts(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer(w, http.StatusOK, s.sold)
}
