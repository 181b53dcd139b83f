package datastore

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

func open(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEmbeddedKeepsDataOverRestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	if _, err := s.Client.Put(t.Context(), "/registry/a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	got, err := s.Client.KV.Get(t.Context(), "/registry/a")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "1" {
		t.Fatalf("after a restart: %v, %v", got, err)
	}
}

func TestEmbeddedListensNowhere(t *testing.T) {
	open(t, Config{Dir: t.TempDir()})
	for _, table := range []string{"tcp", "tcp6", "unix"} {
		raw, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			t.Skip(err)
		}
		for _, fd := range ownSockets(t) {
			for _, line := range strings.Split(string(raw), "\n") {
				fields := strings.Fields(line)
				listening := len(fields) > 9 && fields[3] == "0A" && fields[9] == fd ||
					table == "unix" && len(fields) > 6 && fields[3] == "00010000" && fields[6] == fd
				if listening {
					t.Errorf("%s: %s", table, line)
				}
			}
		}
	}
}

// ownSockets are the inodes of this process's sockets.
func ownSockets(t *testing.T) []string {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	var inodes []string
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, "socket:[") {
			inodes = append(inodes, strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]"))
		}
	}
	return inodes
}

func TestEmbeddedSaysWhyItCannotStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{Dir: filepath.Join(file, "etcd")})
	if err == nil || !strings.Contains(err.Error(), "is the data directory writable?") {
		t.Fatalf("got %v", err)
	}
}

func TestWrongEndpointIsOneErrorInTime(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for _, endpoint := range []string{"http://127.0.0.1:1", "http://" + silent.Addr().String(), "https://127.0.0.1:1"} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := Open(t.Context(), Config{Endpoints: []string{endpoint}})
			if err == nil || !strings.Contains(err.Error(), endpoint) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
	_, err = Open(t.Context(), Config{Endpoints: []string{"https://127.0.0.1:1"}, CAFile: "/does/not/exist"})
	if err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("missing CA file: got %v", err)
	}
}

func TestExternalEndpoint(t *testing.T) {
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(quietLogger())
	client, peer := freeURL(t), freeURL(t)
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	<-e.Server.ReadyNotify()
	s := open(t, Config{Endpoints: []string{client.String()}})
	if s.Alone() {
		t.Error("says that nobody else can use it")
	}
	if _, err := s.Client.Put(t.Context(), "/registry/a", "1"); err != nil {
		t.Fatal(err)
	}
}

func freeURL(t *testing.T) url.URL {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}
}

// TestKillLosesNothingAcknowledged kills a writing process and counts.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	if dir := os.Getenv("BERTH_DATASTORE_WRITER"); dir != "" {
		writeForever(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillLosesNothingAcknowledged$")
	cmd.Env = append(os.Environ(), "BERTH_DATASTORE_WRITER="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last int
	for last < 200 {
		var n int
		if _, err := fmt.Fscanf(out, "acknowledged %d\n", &n); err == nil {
			last = n
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	s := open(t, Config{Dir: dir})
	got, err := s.Client.KV.Get(t.Context(), fmt.Sprintf("/registry/%06d", last))
	if err != nil || len(got.Kvs) != 1 {
		t.Fatalf("write %d was acknowledged and is gone: %v", last, err)
	}
}

func writeForever(t *testing.T, dir string) {
	s := open(t, Config{Dir: dir})
	for i := 1; ; i++ {
		if _, err := s.Client.Put(context.WithoutCancel(t.Context()), fmt.Sprintf("/registry/%06d", i), "x"); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("acknowledged %d\n", i)
	}
}
