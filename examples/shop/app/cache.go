package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// cache keeps answers for a while. They lie in files, so that a member that was
// replaced knows them still.
type cache struct{ dir string }

// entry is a file's content.
type entry struct {
	Until time.Time       `json:"until"`
	Value json.RawMessage `json:"value"`
}

func newCache(dir string) http.Handler {
	c := cache{dir}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /entries/{name}", c.get)
	mux.HandleFunc("PUT /entries/{name}", c.put)
	return mux
}

// file is where an entry lies: a path has no slash, since it is one segment.
func (c cache) file(r *http.Request) string {
	return filepath.Join(c.dir, "entry-"+filepath.Base(r.PathValue("name")))
}

func (c cache) get(w http.ResponseWriter, r *http.Request) {
	var e entry
	text, err := os.ReadFile(c.file(r))
	if err != nil || json.Unmarshal(text, &e) != nil || time.Now().After(e.Until) {
		http.Error(w, "not known", http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, e.Value)
}

func (c cache) put(w http.ResponseWriter, r *http.Request) {
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	seconds, bad := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || bad != nil || !json.Valid(value) {
		http.Error(w, "an entry is JSON, kept for ?seconds=", http.StatusBadRequest)
		return
	}
	text, err := json.Marshal(entry{time.Now().Add(time.Duration(seconds) * time.Second), value})
	if err == nil {
		err = replace(c.file(r), text)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// replace writes a file so that readers see the old or the new content.
func replace(file string, content []byte) error {
	next, err := os.CreateTemp(filepath.Dir(file), ".next-*")
	if err != nil {
		return err
	}
	_, err = next.Write(content)
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		os.Remove(next.Name())
	}
	return err
}
