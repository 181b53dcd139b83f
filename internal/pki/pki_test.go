package pki

import (
	"bytes"
	"crypto/x509"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	testclock "k8s.io/utils/clock/testing"
)

var begin = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func options(clock *testclock.FakePassiveClock) Options {
	return Options{
		Clock: clock, NodeName: "n1",
		ServiceIPs:       []net.IP{net.IPv4(10, 43, 0, 1), net.ParseIP("fd00::1")},
		AdvertiseAddress: net.IPv4(192, 0, 2, 7),
		NodeIPs:          []net.IP{net.IPv4(192, 0, 2, 7), net.IPv4(198, 51, 100, 3)},
		ExtraNames:       []string{"api.example.com", "203.0.113.9"},
	}
}

func mustEnsure(t *testing.T, dir string, o Options) *Set {
	t.Helper()
	set, err := Ensure(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func certOf(t *testing.T, p Pair) *x509.Certificate {
	t.Helper()
	cert, err := decodeCert(p.CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.TLS(); err != nil {
		t.Fatal(err)
	}
	return cert
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

func changed(a, b map[string]string) []string {
	var out []string
	for name := range b {
		if a[name] != b[name] {
			out = append(out, name)
		}
	}
	return out
}

func TestCertificates(t *testing.T) {
	clock := testclock.NewFakePassiveClock(begin)
	dir := filepath.Join(t.TempDir(), "pki")
	set := mustEnsure(t, dir, options(clock))

	if got := set.CA.Cert.NotAfter; !got.Equal(begin.AddDate(10, 0, 0)) {
		t.Errorf("the authority ends on %s", got)
	}
	server := certOf(t, set.APIServer)
	for _, name := range []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", "n1",
		"10.43.0.1", "fd00::1", "127.0.0.1", "::1", "192.0.2.7", "198.51.100.3", "api.example.com", "203.0.113.9",
	} {
		if err := server.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if server.VerifyHostname("kubernetes.example.com") == nil {
		t.Error("serves a name it should not")
	}
	for _, c := range []struct {
		pair     Pair
		cn, org  string
		usage    x509.ExtKeyUsage
		keepName string
	}{
		{set.APIServer, "kube-apiserver", "", x509.ExtKeyUsageServerAuth, "apiserver"},
		{set.KubeletClient, "kube-apiserver-kubelet-client", "system:masters", x509.ExtKeyUsageClientAuth, "apiserver-kubelet-client"},
		{set.Admin, "kubernetes-admin", "system:masters", x509.ExtKeyUsageClientAuth, "admin"},
		{set.NodeClient, "system:node:n1", "system:nodes", x509.ExtKeyUsageClientAuth, "node-client"},
		{set.NodeServing, "system:node:n1", "system:nodes", x509.ExtKeyUsageServerAuth, "node-serving"},
	} {
		cert := certOf(t, c.pair)
		if cert.Subject.CommonName != c.cn || strings.Join(cert.Subject.Organization, ",") != c.org || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != c.usage {
			t.Errorf("%s: %v %v", c.keepName, cert.Subject, cert.ExtKeyUsage)
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: set.CA.Pool(), CurrentTime: begin, KeyUsages: []x509.ExtKeyUsage{c.usage}}); err != nil {
			t.Errorf("%s: %v", c.keepName, err)
		}
		if c.pair.CertFile != filepath.Join(dir, c.keepName+".crt") {
			t.Errorf("kept in %s", c.pair.CertFile)
		}
	}
	proxy := certOf(t, set.FrontProxy)
	verify := x509.VerifyOptions{Roots: set.FrontProxyCA.Pool(), CurrentTime: begin, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := proxy.Verify(verify); err != nil || proxy.Subject.CommonName != FrontProxyName {
		t.Errorf("the front proxy's certificate: %v, %v", proxy.Subject, err)
	}
	verify.Roots = set.CA.Pool()
	if _, err := proxy.Verify(verify); err == nil {
		t.Error("the front proxy's certificate is good for a client of the cluster")
	}
	if err := certOf(t, set.Admin).CheckSignatureFrom(set.FrontProxyCA.Cert); err == nil {
		t.Error("the administrator may speak for others")
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if want := fs.FileMode(0o600); err == nil && !d.IsDir() && info.Mode() != want {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		if d.IsDir() && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEnsureAgain(t *testing.T) {
	clock := testclock.NewFakePassiveClock(begin)
	dir := t.TempDir()
	o := options(clock)
	mustEnsure(t, dir, o)
	before := files(t, dir)
	expect := func(what string, want ...string) {
		t.Helper()
		after := files(t, dir)
		got := changed(before, after)
		if len(got) != len(want) || (len(want) == 1 && got[0] != want[0]) {
			t.Errorf("%s: wrote %v, want %v", what, got, want)
		}
		before = after
	}
	mustEnsure(t, dir, o)
	expect("same")
	clock.SetTime(begin.Add(274 * 24 * time.Hour))
	mustEnsure(t, dir, o)
	expect("more than ninety days left")
	o.ExtraNames = append(o.ExtraNames, "more.example.com")
	set := mustEnsure(t, dir, o)
	expect("another name", "apiserver.crt")
	if err := certOf(t, set.APIServer).VerifyHostname("more.example.com"); err != nil {
		t.Error(err)
	}
	o.ExtraNames = nil
	mustEnsure(t, dir, o)
	expect("fewer names", "apiserver.crt")
	clock.SetTime(begin.Add(276 * 24 * time.Hour))
	mustEnsure(t, dir, o)
	expect("less than ninety days left", "admin.crt", "apiserver-kubelet-client.crt", "front-proxy-client.crt", "node-client.crt", "node-serving.crt", "peer.crt")
	// The names stay the same when the service addresses come in another form.
	o.ServiceIPs[0] = net.ParseIP("10.43.0.1")
	mustEnsure(t, dir, o)
	expect("same address in sixteen bytes")
	clock.SetTime(begin.AddDate(9, 11, 0))
	mustEnsure(t, dir, o)
	expect("near the authority's end", "", "", "", "", "", "", "")
	mustEnsure(t, dir, o)
	expect("cut short by the authority")
	clock.SetTime(begin.AddDate(10, 0, 1))
	if _, err := Ensure(dir, o); err == nil || !strings.Contains(err.Error(), "ca.crt ran out") {
		t.Errorf("an authority past its end: %v", err)
	}
}

func TestDamage(t *testing.T) {
	clock := testclock.NewFakePassiveClock(begin)
	o := options(clock)
	whole := t.TempDir()
	mustEnsure(t, whole, o)
	other := t.TempDir()
	mustEnsure(t, other, o)
	pristine, foreign := files(t, whole), files(t, other)
	place := func(t *testing.T) string {
		dir := t.TempDir()
		for name, data := range pristine {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for name, good := range pristine {
		for kind, data := range map[string]string{
			"empty": "", "garbage": "garbage", "cut": good[:len(good)/2], "wrong block": "-----BEGIN X-----\nAAAA\n-----END X-----\n",
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				dir := place(t)
				if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := Ensure(dir, o)
				if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, name)) || (!strings.Contains(err.Error(), "delete") && !strings.Contains(err.Error(), "restore")) {
					t.Errorf("got %v", err)
				}
				if got, _ := os.ReadFile(filepath.Join(dir, name)); string(got) != data {
					t.Error("the damaged file was replaced")
				}
			})
		}
		t.Run(name+" of another cluster", func(t *testing.T) {
			dir := place(t)
			if err := os.WriteFile(filepath.Join(dir, name), []byte(foreign[name]), 0o600); err != nil {
				t.Fatal(err)
			}
			set, err := Ensure(dir, o)
			if strings.HasPrefix(name, "ca.") || strings.Contains(name, "-ca.") {
				if err == nil || !strings.Contains(err.Error(), "does not belong") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []Pair{set.APIServer, set.Admin, set.NodeClient, set.NodeServing, set.KubeletClient} {
				if _, err := p.TLS(); err != nil {
					t.Error(err)
				}
				if cert := certOf(t, p); cert.CheckSignatureFrom(set.CA.Cert) != nil {
					t.Errorf("%s is not ours", p.CertFile)
				}
			}
			if certOf(t, set.FrontProxy).CheckSignatureFrom(set.FrontProxyCA.Cert) != nil {
				t.Error("the front proxy's certificate is not ours")
			}
		})
		t.Run(name+" missing", func(t *testing.T) {
			dir := place(t)
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			_, err := Ensure(dir, o)
			if strings.HasPrefix(name, "ca.") || strings.HasSuffix(name, "-ca.key") {
				if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, name)+" is missing") {
					t.Errorf("got %v", err)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	if _, err := Ensure(t.TempDir(), Options{}); err == nil {
		t.Error("took no node name")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(file, Options{NodeName: "n"}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file in the directory's place: %v", err)
	}
}

func TestKubeconfig(t *testing.T) {
	set := mustEnsure(t, t.TempDir(), Options{NodeName: "n1"})
	path := filepath.Join(t.TempDir(), "kubeconfig")
	k := Kubeconfig{Server: "https://127.0.0.1:6443", CAPEM: set.CA.CertPEM, Client: set.Admin}
	for range 2 {
		if err := WriteKubeconfig(path, k); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(path)
	if err != nil || before.Mode() != 0o600 {
		t.Fatalf("%v %v", before, err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != k.Server || !bytes.Equal(config.CertData, set.Admin.CertPEM) || !bytes.Equal(config.CAData, set.CA.CertPEM) {
		t.Errorf("got %+v", config)
	}
	if err := WriteKubeconfig(path, k); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(path); !after.ModTime().Equal(before.ModTime()) {
		t.Error("the same content was written again")
	}
	if err := WriteKubeconfig(filepath.Join(path, "x"), k); err == nil {
		t.Error("no error for a place that cannot be")
	}
}

func BenchmarkEnsure(b *testing.B) {
	for b.Loop() {
		if _, err := Ensure(b.TempDir(), Options{NodeName: "n1"}); err != nil {
			b.Fatal(err)
		}
	}
}
