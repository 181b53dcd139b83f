// Demo is the service that Berth's examples run: each replica keeps a counter
// on its own disk and says who and where it is. It shows that a pod keeps its
// name, its address and its disk.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "address to serve on")
	data := flag.String("data", "/data", "folder that the counter and uploaded files are kept in")
	flag.Parse()
	if err := run(*listen, *data); err != nil {
		log.Fatal(err)
	}
}

func run(listen, data string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s := &service{data: data}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.hello)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /files/{name}", s.read)
	mux.HandleFunc("PUT /files/{name}", s.write)
	server := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		// The pod is going: answer what is under way, but do not hold it up.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(end)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", listen, err)
	}
	return nil
}

// service is one replica.
type service struct {
	data string
	mu   sync.Mutex // guards the counter file
}

// report is what a replica says about itself.
type report struct {
	Name    string   `json:"name"`
	Ordinal int      `json:"ordinal"`
	Address []string `json:"address"`
	Node    string   `json:"node"`
	Counter int      `json:"counter"`
}

func (s *service) hello(w http.ResponseWriter, r *http.Request) {
	n, err := s.count()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	name, err := os.Hostname()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	me := report{Name: name, Ordinal: ordinal(name), Address: addresses(), Node: os.Getenv("NODE_NAME"), Counter: n}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(me)
		return
	}
	fmt.Fprintf(w, "I am %s (ordinal %d) at %s on node %s; visit number %d, counted on my own disk.\n",
		me.Name, me.Ordinal, strings.Join(me.Address, ", "), me.Node, me.Counter)
}

// healthz is ready when the disk can be written.
func (s *service) healthz(w http.ResponseWriter, _ *http.Request) {
	probe := filepath.Join(s.data, ".healthz")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// count adds one to the counter and returns it; the new value is on disk first.
func (s *service) count() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	file := filepath.Join(s.data, "counter")
	n := 0
	switch text, err := os.ReadFile(file); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, err
	default:
		if n, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			return 0, fmt.Errorf("%s does not hold a number: %w", file, err)
		}
	}
	n++
	return n, replace(file, []byte(strconv.Itoa(n)+"\n"))
}

func (s *service) read(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, os.DirFS(s.data), filepath.Base(r.PathValue("name")))
}

func (s *service) write(w http.ResponseWriter, r *http.Request) {
	content := http.MaxBytesReader(w, r.Body, 1<<20)
	defer content.Close()
	text := make([]byte, 0, 4096)
	buf := make([]byte, 4096)
	for {
		n, err := content.Read(buf)
		text = append(text, buf[:n]...)
		if err != nil {
			break
		}
	}
	if err := replace(filepath.Join(s.data, filepath.Base(r.PathValue("name"))), text); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// replace writes a file so that a crash leaves the old or the new content.
func replace(file string, content []byte) error {
	next, err := os.CreateTemp(filepath.Dir(file), ".next-*")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name())
	if _, err := next.Write(content); err != nil {
		next.Close()
		return err
	}
	if err := errors.Join(next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), file)
}

// ordinal is the number at the end of a StatefulSet pod's name, or -1.
func ordinal(name string) int {
	i := strings.LastIndexByte(name, '-')
	n, err := strconv.Atoi(name[i+1:])
	if i < 0 || err != nil {
		return -1
	}
	return n
}

// addresses lists this pod's own addresses, without loopback and link-local.
func addresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []string
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			own = append(own, ip.IP.String())
		}
	}
	return own
}
