package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"berth.dev/berth/test/e2e/cluster"
)

// Pulls from a registry with a certificate of its own authority and with
// passwords, from one that fails, and from a mirror.
func pulls(t *testing.T, c *cluster.Cluster) {
	r := newBadRegistry(t, c)
	const names = "closed pulled account wrong e500 cut forged slow fast mirrored"
	for _, name := range strings.Fields(names) {
		pushImage(t, r.store, likeNoOther(t), name+"/demo", "1")
	}
	r.hosts(t, c, "private.example", `server = "https://`+r.addr+`"`+"\nca = "+strconv.Quote(r.authority)+"\n")
	r.hosts(t, c, "mirrored.example", `server = "https://192.0.2.1"`+"\n[host.\"https://"+r.addr+"\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = "+strconv.Quote(r.authority)+"\n")

	for name, broken := range brokenConfigs {
		image, err := mutate.Config(likeNoOther(t), broken.config)
		if err != nil {
			t.Fatal(err)
		}
		pushImage(t, r.store, image, "mirrored/"+name, "1")
	}

	for name, password := range map[string]string{"right": "open sesame", "bad": "guess"} {
		c.Kubectl("create", "secret", "docker-registry", name, "--docker-server=https://private.example/v2/", "--docker-username=ali", "--docker-password="+password)
	}
	c.Kubectl("create", "serviceaccount", "puller")
	c.Kubectl("patch", "serviceaccount", "puller", "-p", `{"imagePullSecrets":[{"name":"right"}]}`)
	pod := func(name, image, more string) string {
		return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers: [{name: c, image: " + image + "}]\n" + more
	}
	secret := func(name string) string { return "  imagePullSecrets: [{name: " + name + "}]\n" }
	var all strings.Builder
	for name, more := range map[string]string{
		"closed": "", "wrong": secret("bad"), "pulled": "  imagePullSecrets: [{name: nope}, {name: bad}, {name: right}]\n", "account": "  serviceAccountName: puller\n",
		"e500": secret("right"), "cut": secret("right"), "forged": secret("right"), "slow": secret("right"),
	} {
		all.WriteString(pod(name, "private.example/"+name+"/demo:1", more))
	}
	all.WriteString(pod("mirrored", "mirrored.example/mirrored/demo:1", ""))
	for name := range brokenConfigs {
		all.WriteString(pod(name, "mirrored.example/mirrored/"+name+":1", ""))
	}
	c.Apply(all.String())
	c.Kubectl("wait", "--for=condition=Ready", "pod/pulled", "pod/account", "pod/mirrored", "--timeout=150s")
	// One pull that hangs holds up no other.
	select {
	case <-r.slowed:
	case <-time.After(60 * time.Second):
		t.Fatal("nobody asked for the slow layer")
	}
	c.Apply(pod("fast", "private.example/fast/demo:1", secret("right")))
	c.Kubectl("wait", "--for=condition=Ready", "pod/fast", "--timeout=150s")
	same(t, "the slow one", waiting(c, "slow")(), "ContainerCreating")
	close(r.hurry)

	said := func(pod string, words ...string) {
		t.Helper()
		c.Eventually(60*time.Second, "true", func() string {
			return strconv.FormatBool(matched(`ErrImagePull|ImagePullBackOff|Running`, waiting(c, pod)()+c.Kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase}")) &&
				strings.Contains(c.Kubectl("describe", "pod", pod), "Failed to pull image"))
		})
		says(t, "describe pod "+pod, c.Ask("describe", "pod", pod), append(words, `Pulling image "private.example/`+pod+`/demo:1"`, "Error: ErrImagePull")...)
	}
	said("closed", "authorization failed: no basic auth credentials")
	said("wrong", "401 Unauthorized")
	said("e500", "500 Internal Server Error")
	said("forged", "unexpected commit digest sha256:")
	said("cut")
	// The registry is well again: what was only its fault comes by itself.
	r.heal()
	c.Kubectl("wait", "--for=condition=Ready", "pod/e500", "pod/cut", "pod/forged", "pod/slow", "--timeout=150s")
	c.Kubectl("delete", "secret", "bad")
	c.Kubectl("create", "secret", "docker-registry", "bad", "--docker-server=private.example", "--docker-username=ali", "--docker-password=open sesame")
	c.Kubectl("wait", "--for=condition=Ready", "pod/wrong", "--timeout=150s")
	c.Eventually(60*time.Second, "true", func() string { // between two tries
		return strconv.FormatBool(matched(`(?s)Back-off pulling image "private\.example/closed/demo:1": ErrImagePull: .*no basic auth credentials`,
			c.Kubectl("get", "pod", "closed", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}")))
	})
	// What an image says of itself may make no sense. Its container says so, and
	// whoever is beside it runs.
	for name, broken := range brokenConfigs {
		c.Eventually(60*time.Second, "true", func() string { return strconv.FormatBool(matched(broken.waits, waiting(c, name)())) })
		says(t, "describe pod "+name, c.Ask("describe", "pod", name), "Error: ", broken.says)
	}
	// The node tells what it has.
	c.Eventually(60*time.Second, "true", func() string {
		images := c.Kubectl("get", "node", c.Host.Name, "-o", "jsonpath={range .status.images[*]}{.names[*]} {.sizeBytes}{'\\n'}{end}")
		return strconv.FormatBool(matched(`(?s).*private\.example/pulled/demo@sha256:[0-9a-f]{64}.*`, images) && strings.Contains(images, "private.example/pulled/demo:1"))
	})
	c.Kubectl("delete", "pods", "--all", "--now")
}

// brokenConfigs are images that can be had and not be run, by the pods' names.
var brokenConfigs = map[string]struct {
	config v1.Config
	waits  string // reasons of the waiting container
	says   string
}{
	"no-program": {v1.Config{Entrypoint: []string{"/not/there"}}, "RunContainerError|CrashLoopBackOff", `exec: "/not/there": stat /not/there: no such file or directory`},
	"no-command": {v1.Config{}, "CreateContainerError", "no command specified"},
	"no-user":    {v1.Config{Entrypoint: []string{"/demo"}, User: "nobody-knows"}, "CreateContainerError", "failed to create containerd container"},
}

// likeNoOther is the demo image with a layer that no node has yet.
func likeNoOther(t *testing.T) v1.Image {
	t.Helper()
	image, err := tarball.ImageFromPath(filepath.Join(cluster.Bin(t), "bundle/images/demo.tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := random.Layer(64<<10, types.DockerLayer)
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		t.Fatal(err)
	}
	return image
}

// badRegistry has a password, and fails in the way that a repository's name tells.
type badRegistry struct {
	addr, authority string
	store           http.Handler
	slowed          chan struct{} // closed when somebody waits for the slow layer
	hurry           chan struct{} // closed to let them go on
	once            sync.Once

	mu    sync.Mutex
	sound bool
}

func (r *badRegistry) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sound = true
}

func newBadRegistry(t *testing.T, c *cluster.Cluster) *badRegistry {
	t.Helper()
	r := &badRegistry{
		store: registry.New(registry.Logger(log.New(io.Discard, "", 0))), authority: c.Path("authority.pem"),
		slowed: make(chan struct{}), hurry: make(chan struct{}),
	}
	listener, err := c.Host.Listen("tcp", net.JoinHostPort(c.Host.Addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: r, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}}
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{selfSigned(t, c.Host.Addr, r.authority)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	r.addr = listener.Addr().String()
	return r
}

// hosts tells the container runtime how to reach what is named after a domain.
func (r *badRegistry) hosts(t *testing.T, c *cluster.Cluster, domain, text string) {
	t.Helper()
	dir := filepath.Join(c.Data, "containerd/certs.d", domain)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *badRegistry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	user, password, _ := q.BasicAuth()
	open := strings.Contains(q.URL.Path, "/mirrored/")
	if !open && (user != "ali" || password != "open sesame") {
		w.Header().Set("WWW-Authenticate", `Basic realm="berth"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	sound := r.sound
	r.mu.Unlock()
	repository := strings.Split(strings.TrimPrefix(q.URL.Path, "/v2/"), "/")[0]
	manifest, blob := strings.Contains(q.URL.Path, "/manifests/"), strings.Contains(q.URL.Path, "/blobs/")
	switch {
	case sound:
	case repository == "e500" && manifest:
		http.Error(w, "no", http.StatusInternalServerError)
		return
	case repository == "slow" && blob:
		r.once.Do(func() { close(r.slowed) })
		select {
		case <-r.hurry:
		case <-q.Context().Done():
			return
		}
	case repository == "cut" && blob || repository == "forged" && blob:
		answer := httptest.NewRecorder()
		r.store.ServeHTTP(answer, q)
		body := answer.Body.Bytes()
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if repository == "cut" {
			_, _ = w.Write(body[:len(body)/2])
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), len(body)))
		return
	}
	r.store.ServeHTTP(w, q)
}

// selfSigned is a certificate for an address, written down as its own authority.
func selfSigned(t *testing.T, addr, path string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(addr)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(fmt.Errorf("the registry's authority: %w", err))
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
