package behaviour

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/pki"
)

const secrets = "/api/v1/namespaces/default/secrets"

// stored is what etcd has for a key.
func (w *wire) stored(key string) string {
	w.t.Helper()
	r, err := w.Store.Client.KV.Get(w.t.Context(), w.Store.Prefix+key)
	if err != nil || len(r.Kvs) != 1 {
		w.t.Fatalf("%s: %d values, %v", key, len(r.Kvs), err)
	}
	return string(r.Kvs[0].Value)
}

// providers writes a configuration with these providers, the first of which encrypts.
func providers(t *testing.T, file string, all ...string) {
	t.Helper()
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets, widgets.example.com]\n  providers:\n"
	for _, p := range all {
		kind, name, _ := strings.Cut(p, " ")
		if kind == "identity" {
			text += "  - identity: {}\n"
			continue
		}
		key := base64.StdEncoding.EncodeToString([]byte((name + strings.Repeat(".", 32))[:32]))
		text += "  - " + kind + ": {keys: [{name: " + name + ", secret: " + key + "}]}\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *wire) readable(name string) {
	w.t.Helper()
	if got := string(into[corev1.Secret](w.t, w.must(http.MethodGet, secrets+"/"+name, "")).Data["k"]); got != "open sesame" {
		w.t.Errorf("%s holds %q", name, got)
	}
}

func (w *wire) rewrite(name string) {
	w.t.Helper()
	w.must(http.MethodPut, secrets+"/"+name, w.must(http.MethodGet, secrets+"/"+name, "").body)
}

func (w *wire) storedBy(name, provider string) {
	w.t.Helper()
	if got := w.stored("/secrets/default/" + name); !strings.HasPrefix(got, provider) || strings.Contains(got, "sesame") != (provider == "k8s\x00") {
		w.t.Errorf("%s is stored as %.40q, want %s", name, got, provider)
	}
}

func TestEncryptionAtRest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	providers(t, file, "aescbc one", "identity")
	use := true
	w := start(t, func(c *apiserver.Config) {
		if use {
			c.Encryption.File = file
		}
	})
	const body = `{"metadata":{"name":"s"},"stringData":{"k":"open sesame"}}`
	w.must(http.MethodPost, secrets, body)
	w.storedBy("s", "k8s:enc:aescbc:v1:one:")
	w.makeMap("m")
	if got := w.stored("/configmaps/default/m"); !strings.HasPrefix(got, "k8s\x00") {
		t.Errorf("a ConfigMap is stored as %.40q", got)
	}
	// Each rotation: a new key in front, everything written again, the old one out.
	for _, step := range [][]string{
		{"aesgcm two", "aescbc one"}, {"secretbox three", "aesgcm two"}, {"aescbc four", "secretbox three"}, {"identity", "aescbc four"},
	} {
		providers(t, file, step...)
		w.Restart()
		w.connect()
		w.readable("s")
		w.rewrite("s")
		kind, name, _ := strings.Cut(step[0], " ")
		want := "k8s:enc:" + kind + ":v1:" + name + ":"
		if kind == "identity" {
			want = "k8s\x00"
		}
		w.storedBy("s", want)
	}
	// And from plain to encrypted, and without the configuration no more.
	providers(t, file, "secretbox five", "identity")
	w.Restart()
	w.connect()
	w.readable("s")
	w.rewrite("s")
	w.storedBy("s", "k8s:enc:secretbox:v1:five:")
	w.must(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets)
	const widget = "/apis/example.com/v1/namespaces/default/widgets"
	for end := time.Now().Add(time.Minute); w.get(widget).code != http.StatusOK && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	w.must(http.MethodPost, widget, `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"}}`)
	if got := w.stored("/example.com/widgets/default/w"); !strings.HasPrefix(got, "k8s:enc:secretbox:v1:five:") {
		t.Errorf("a custom resource is stored as %.40q", got)
	}
}

func TestEncryptionIsReloaded(t *testing.T) {
	before := controller.EncryptionConfigFileChangePollDuration
	controller.EncryptionConfigFileChangePollDuration = 20 * time.Millisecond
	t.Cleanup(func() { controller.EncryptionConfigFileChangePollDuration = before })
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	providers(t, file, "aesgcm one")
	w := start(t, func(c *apiserver.Config) { c.Encryption = apiserver.Encryption{File: file, Reload: true} })
	w.must(http.MethodPost, secrets, `{"metadata":{"name":"s"},"stringData":{"k":"open sesame"}}`)
	w.storedBy("s", "k8s:enc:aesgcm:v1:one:")
	providers(t, file, "secretbox two", "aesgcm one")
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if w.rewrite("s"); strings.HasPrefix(w.stored("/secrets/default/s"), "k8s:enc:secretbox") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a new configuration is not taken up")
		}
	}
	w.readable("s")
	// A broken file changes nothing.
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	w.rewrite("s")
	w.storedBy("s", "k8s:enc:secretbox:v1:two:")
	if a := w.get("/readyz?verbose"); !strings.Contains(a.body, "[+]kms-providers ok") {
		t.Errorf("/readyz: %s", a.body)
	}
}

func TestEncryptionByDefaultFile(t *testing.T) {
	file, err := pki.EnsureEncryption(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, func(c *apiserver.Config) { c.Encryption = apiserver.Encryption{File: file, Reload: true} })
	w.must(http.MethodPost, secrets, `{"metadata":{"name":"s"},"stringData":{"k":"open sesame"}}`)
	w.storedBy("s", "k8s:enc:secretbox:v1:key1:")
	w.readable("s")
}

func TestBadEncryptionConfiguration(t *testing.T) {
	w := start(t)
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	for text, want := range map[string]string{
		"nonsense": "error while parsing file",
		"apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: [{aescbc: {keys: [{name: a, secret: YQ==}]}}]}]\n": "secret is not of the expected length",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := apiserver.New(apiserver.Config{Datastore: w.Store, ServiceCIDRs: w.serviceCIDRs(), Encryption: apiserver.Encryption{File: file}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
