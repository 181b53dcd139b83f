package e2e

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"berth.dev/berth/test/e2e/cluster"
)

// waiting is why a pod's container does not run.
func waiting(c *cluster.Cluster, pod string) func() string {
	return func() string {
		return c.Kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
	}
}

// An image that cannot be had is told in the pod's status, in its events and by
// describe, with the reason.
func imagesNotThere(t *testing.T, c *cluster.Cluster) {
	pod := func(name, image, policy string) string {
		return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: " + quote(image) + ", imagePullPolicy: " + policy + "}]}\n"
	}
	c.Apply(pod("missing", "127.0.0.1:5999/none:1", "IfNotPresent") + pod("badname", "In Valid", "IfNotPresent") + pod("never", "nothere:1", "Never"))
	c.Eventually(60*time.Second, "ImagePullBackOff", waiting(c, "missing"))
	c.Eventually(60*time.Second, "InvalidImageName", waiting(c, "badname"))
	c.Eventually(60*time.Second, "ErrImageNeverPull", waiting(c, "never"))
	// Between two tries: with each it is ErrImagePull for a moment.
	c.Eventually(60*time.Second, "between two tries", func() string {
		row, described := c.Kubectl("get", "pod", "missing", "--no-headers"), c.Kubectl("describe", "pod", "missing")
		if matched(`^missing +0/1 +ImagePullBackOff +0 +[0-9]+s$`, row) && strings.Contains(described, "Reason:       ImagePullBackOff") {
			return "between two tries"
		}
		return row + "\n" + described
	})
	for pod, words := range map[string][]string{
		"missing": {
			`Pulling image "127.0.0.1:5999/none:1"`, `Failed to pull image "127.0.0.1:5999/none:1": `,
			"connection refused", "Error: ErrImagePull", `Back-off pulling image "127.0.0.1:5999/none:1"`, "Error: ImagePullBackOff",
		},
		"badname": {"Reason:       InvalidImageName", `Failed to apply default image tag "In Valid": couldn't parse image name "In Valid": invalid reference format: repository name (library/In Valid) must be lowercase`, "Error: InvalidImageName"},
		"never":   {"Reason:       ErrImageNeverPull", `Container image "nothere:1" is not present with pull policy of Never`, "Error: ErrImageNeverPull"},
	} {
		says(t, "describe pod "+pod, c.Ask("describe", "pod", pod), words...)
	}
	c.Kubectl("delete", "pods", "--all", "--timeout=150s")
}

// A pull from a real registry: over plain HTTP where hosts.toml says so, by the
// command line and by a pod.
func pullFromRegistry(t *testing.T, c *cluster.Cluster) {
	at := serveRegistry(t, c)
	push(t, at.handler, filepath.Join(cluster.Bin(t), "bundle/images/demo.tar"), "demo", "2")

	name := at.addr + "/demo:2"
	c.Apply("apiVersion: v1\nkind: Pod\nmetadata: {name: pulled}\nspec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: " + quote(name) + "}]}\n")
	c.Eventually(60*time.Second, "ImagePullBackOff", waiting(c, "pulled"))

	at.serves(t, c, at.addr)
	c.Kubectl("wait", "--for=condition=Ready", "pod/pulled", "--timeout=150s")
	says(t, "events", c.Ask("events", "--for", "pod/pulled"), "Successfully pulled image "+`"`+name+`"`, "Image size: ")
	matches(t, "imageID", c.Ask("get", "pod", "pulled", "-o", "jsonpath={.status.containerStatuses[0].imageID}"), at.addr+"/demo@sha256:[0-9a-f]{64}")
	c.Kubectl("delete", "pod", "pulled")

	berth := func(args ...string) cluster.Result {
		return c.Run(c.Berth(), append([]string{"image", args[0], "--data-dir", c.Data}, args[1:]...)...)
	}
	if r := berth("rm", name); r.Code != 0 {
		t.Errorf("rm: %+v", r)
	}
	if r := berth("ls"); r.Code != 0 || strings.Contains(r.Out, name) {
		t.Errorf("after rm: %+v", r)
	}
	if r := berth("pull", name); r.Code != 0 || !strings.HasPrefix(r.Out, name+"\tsha256:") {
		t.Errorf("pull: %+v", r)
	}
	if r := berth("ls"); !strings.Contains(r.Out, name) {
		t.Errorf("after pull: %+v", r)
	}
	r := berth("pull", at.addr+"/demo:3")
	if r.Code != 1 || !strings.HasPrefix(lastLine(r.Err), "berth: pull "+at.addr+"/demo:3: ") || !strings.Contains(r.Err, "not found") {
		t.Errorf("pull of a tag that is not there: %+v", r)
	}
	if r := berth("rm", "nothere:1"); r.Code != 1 || !strings.Contains(r.Err, "nothere:1") {
		t.Errorf("rm of nothing: %+v", r)
	}
	if r := berth("import", c.File("not.tar", "this is no archive")); r.Code != 1 || !strings.Contains(r.Err, "not.tar") {
		t.Errorf("import of no archive: %+v", r)
	}
}

type registryServer struct {
	addr    string
	handler http.Handler
}

// serveRegistry runs a registry on the host's wire, not on its loopback, where
// plain HTTP would be taken for granted.
func serveRegistry(t *testing.T, c *cluster.Cluster) registryServer {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	listener, err := c.Host.Listen("tcp", net.JoinHostPort(c.Host.Addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(server.Close)
	return registryServer{listener.Addr().String(), handler}
}

// serves makes the container runtime ask here for what is named after a domain.
func (r registryServer) serves(t *testing.T, c *cluster.Cluster, domain string) {
	t.Helper()
	hosts := filepath.Join(c.Data, "containerd/certs.d", domain)
	if err := os.MkdirAll(hosts, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hosts, "hosts.toml"), fmt.Appendf(nil, "server = %q\n", "http://"+r.addr), 0o644); err != nil {
		t.Fatal(err)
	}
}

// push puts an image archive into a registry.
func push(t *testing.T, to http.Handler, archive, repository, tag string) {
	t.Helper()
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	pushImage(t, to, image, repository, tag)
}

func pushImage(t *testing.T, to http.Handler, image v1.Image, repository, tag string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(method, path string, body []byte, kind string) {
		t.Helper()
		request := httptest.NewRequestWithContext(t.Context(), method, "/v2/"+repository+"/"+path, bytes.NewReader(body))
		request.Header.Set("Content-Type", kind)
		answer := httptest.NewRecorder()
		to.ServeHTTP(answer, request)
		if answer.Code != http.StatusCreated {
			t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
		}
	}
	blob := func(digest v1.Hash, content []byte) {
		t.Helper()
		put(http.MethodPost, "blobs/uploads/?digest="+digest.String(), content, "application/octet-stream")
	}
	layers, err := image.Layers()
	must(err)
	for _, layer := range layers {
		digest, err := layer.Digest()
		must(err)
		r, err := layer.Compressed()
		must(err)
		content, err := io.ReadAll(r)
		must(err)
		blob(digest, content)
	}
	config, err := image.RawConfigFile()
	must(err)
	digest, err := image.ConfigName()
	must(err)
	blob(digest, config)
	manifest, err := image.RawManifest()
	must(err)
	kind, err := image.MediaType()
	must(err)
	put(http.MethodPut, "manifests/"+tag, manifest, string(kind))
}
