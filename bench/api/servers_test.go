package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/bench/api/load"
	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/pki"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

const (
	etcdAddress  = "127.0.0.1:2379"
	upstreamPort = "7443"
	upstreamName = "upstream"
	startWithin  = 2 * time.Minute
)

// server is one of those that are compared.
type server interface {
	name() string
	measure(load.Step) (figure.Sample, error)
	// usage is zero for a server whose process does more than serve.
	usage() usage
	lastWords() string
}

// usage is what a process costs: megabytes, and seconds since its start.
type usage struct{ rss, anon, cpu float64 }

// bench is a host with an etcd, where the servers run.
type bench struct {
	b      *testing.B
	host   *host.Host
	within string // the program
	size   load.Size
}

func newBench(b *testing.B, size load.Size) *bench {
	b.Helper()
	t := &bench{b: b, host: host.New(b, "api"), size: size}
	t.within = filepath.Join(t.host.Dir, "within")
	_, file, _, _ := runtime.Caller(0)
	build := exec.CommandContext(b.Context(), "go", "build", "-ldflags", "-s -w", "-o", t.within, "./within")
	build.Dir = filepath.Dir(file)
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build within: %v\n%s", err, out)
	}
	t.spawn(t.within, "etcd", filepath.Join(t.host.Dir, "etcd"), etcdAddress)
	t.await("etcd", func() error {
		conn, err := t.host.Dial(b.Context(), "tcp", etcdAddress)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return t
}

// servers starts all: Berth, upstream if it is there, and Berth in memory, with
// the same etcd and with an embedded one.
func (t *bench) servers() []server {
	t.b.Helper()
	all := []server{t.berth()}
	if *upstream != "" {
		all = append(all, t.upstream())
	}
	return append(all, t.inMemory("in memory", "http://"+etcdAddress), t.inMemory("in memory, embedded etcd", ""))
}

// process is a program on the host. It ends when its standard input does, or
// with the host.
type process struct {
	in  io.WriteCloser
	out *bufio.Scanner
	err *strings.Builder
}

func (t *bench) spawn(program string, args ...string) process {
	t.b.Helper()
	p := process{err: &strings.Builder{}}
	cmd := t.host.Command(t.b.Context(), program, args...)
	cmd.Stderr = p.err
	cmd.WaitDelay = time.Second
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		t.b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.b.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		t.b.Fatal(err)
	}
	return p
}

// await asks until there is no error.
func (t *bench) await(what string, ask func() error) {
	t.b.Helper()
	deadline := time.Now().Add(startWithin)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.b.Fatalf("%s does not answer: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// overTLS is a server in a process of its own.
type overTLS struct {
	bench   *bench
	title   string
	command string // how its command line begins
	load    *load.Load
	said    func() string
	client  kubernetes.Interface
	steps   int
}

func (t *bench) overTLS(title, command string, config *rest.Config, said func() string) *overTLS {
	t.b.Helper()
	s := &overTLS{bench: t, title: title, command: command, said: said}
	var err error
	if s.client, err = kubernetes.NewForConfig(config); err != nil {
		t.b.Fatal(err)
	}
	if s.load, err = load.New(config, t.size); err != nil {
		t.b.Fatal(err)
	}
	t.await(title, func() error {
		return s.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(t.b.Context()).Error()
	})
	if err := s.load.Prepare(t.b.Context()); err != nil {
		t.b.Fatalf("%s: %v\n%s", title, err, said())
	}
	return s
}

func (s *overTLS) name() string { return s.title }

func (s *overTLS) lastWords() string { return s.said() }

func (s *overTLS) measure(step load.Step) (figure.Sample, error) {
	done := s.profile(step.Name)
	before := s.usage()
	sample, err := step.Run(s.bench.b.Context(), s.load)
	if err == nil {
		sample["CPU of "+step.Name] = s.usage().cpu - before.cpu
	}
	return sample, errors.Join(err, done())
}

func (s *overTLS) usage() usage {
	pids := s.bench.host.Find(func(command string) bool { return strings.HasPrefix(command, s.command) })
	if len(pids) != 1 {
		s.bench.b.Fatalf("processes of %s: %q\n%s", s.title, pids, s.said())
	}
	read := func(name string) string {
		return s.bench.host.MustRun(s.bench.b.Context(), "cat", "/proc/"+pids[0]+"/"+name)
	}
	status := read("status")
	return usage{
		rss:  cluster.Kilobytes(status, "VmRSS") / 1024,
		anon: cluster.Kilobytes(status, "RssAnon") / 1024,
		cpu:  cluster.CPUSeconds(read("stat")),
	}
}

// berth is the control plane of the built program.
func (t *bench) berth() server {
	t.b.Helper()
	c := cluster.On(t.b, t.host, cluster.Bin(t.b), "--disable-agent", "--datastore-endpoint", "http://"+etcdAddress)
	c.Launch()
	t.await("Berth", func() error {
		conn, err := t.host.Dial(t.b.Context(), "tcp", "127.0.0.1:6443")
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return t.overTLS("Berth", c.Program(), c.Config(), c.Log)
}

// upstream is kube-apiserver with its own settings, but for what it needs.
func (t *bench) upstream() server {
	t.b.Helper()
	keys, err := pki.Ensure(filepath.Join(t.host.Dir, "keys"), pki.Options{NodeName: "bench", NodeIPs: []net.IP{net.ParseIP("127.0.0.1")}})
	if err != nil {
		t.b.Fatal(err)
	}
	program, err := filepath.Abs(*upstream)
	if err != nil {
		t.b.Fatal(err)
	}
	account := filepath.Join(t.host.Dir, "keys", "sa.key")
	p := t.spawn(program,
		"--etcd-servers=http://"+etcdAddress, "--etcd-prefix=/upstream",
		"--bind-address=127.0.0.1", "--advertise-address="+t.host.Addr, "--secure-port="+upstreamPort,
		"--cert-dir="+filepath.Join(t.host.Dir, "made"),
		"--tls-cert-file="+keys.APIServer.CertFile, "--tls-private-key-file="+keys.APIServer.KeyFile,
		"--client-ca-file="+keys.CAFile, "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+account,
		"--service-account-signing-key-file="+account, "--service-cluster-ip-range=10.44.0.0/16",
	)
	config := &rest.Config{
		Host: "https://127.0.0.1:" + upstreamPort, Dial: t.host.Dial, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: keys.CA.CertPEM, CertData: keys.Admin.CertPEM, KeyData: keys.Admin.KeyPEM},
	}
	return t.overTLS(upstreamName, program, config, p.err.String)
}

// inMemory is Berth's API server in one process with its load.
type inMemory struct {
	process
	title string
}

func (t *bench) inMemory(title, etcd string) server {
	t.b.Helper()
	size, err := json.Marshal(t.size)
	if err != nil {
		t.b.Fatal(err)
	}
	dir := filepath.Join(t.host.Dir, strings.ReplaceAll(title, " ", "-"))
	return inMemory{t.spawn(t.within, "memory", etcd, dir, string(size)), title}
}

func (m inMemory) name() string { return m.title }

func (m inMemory) lastWords() string { return m.err.String() }

func (m inMemory) usage() usage { return usage{} }

func (m inMemory) measure(step load.Step) (figure.Sample, error) {
	if _, err := fmt.Fprintln(m.in, step.Name); err != nil {
		return nil, err
	}
	if !m.out.Scan() {
		return nil, errors.Join(io.ErrUnexpectedEOF, m.out.Err())
	}
	sample := figure.Sample{}
	return sample, json.Unmarshal(m.out.Bytes(), &sample)
}
