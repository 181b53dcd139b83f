package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// etcdRole is set in the environment of a process that is an etcd of its own:
// the folder of its data.
const etcdRole = "BERTH_TEST_ETCD"

// etcdAddress says where it listens, if not on loopback.
const etcdAddress = "BERTH_TEST_ETCD_ADDRESS"

// etcdMain never returns in that process.
func etcdMain() {
	dir := os.Getenv(etcdRole)
	if dir == "" {
		return
	}
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel = dir, "error"
	at := os.Getenv(etcdAddress)
	if at == "" {
		at = "127.0.0.1"
	}
	client, peer := url.URL{Scheme: "http", Host: at + ":2379"}, url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-server.Server.StopNotify()
	os.Exit(0)
}

// Other ports, ranges, names and a datastore of one's own, half of them from a
// file; beside it on a second host an instance as it comes. Neither sees the other.
func TestOtherSettings(t *testing.T) {
	h := host.New(t, "other")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	etcd := h.Command(t.Context(), program)
	etcd.Env = append(os.Environ(), etcdRole+"="+filepath.Join(h.Dir, "etcd"))
	etcd.Stderr = os.Stderr
	if err := etcd.Start(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(h.Dir, "berth.yaml")
	settings := `# the flags' names as keys
https-port: 7443
agent-port: 20250
cluster-cidr: [10.90.0.0/16]
service-cidr: 10.96.0.0/12
datastore-endpoint: [http://127.0.0.1:2379]
tls-san: [berth.example.com]
max-pods: 7
`
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	other := cluster.On(t, h, cluster.Bin(t), "--config", file, "--cluster-domain", "kube.local").Start()
	plain := cluster.New(t, "plain").Start()
	for _, c := range []*cluster.Cluster{other, plain} {
		c.Import(nginxImage(t))
		demo(t, c)
		c.Apply(shell("me", forever, ""))
		c.Kubectl("wait", "--for=condition=Ready", "pod/me", "--timeout=150s")
	}
	get := func(c *cluster.Cluster, what, path string) string {
		return c.Kubectl("get", what, "-o", "jsonpath={"+path+"}")
	}
	same(t, "nodes", get(other, "nodes", ".items[*].metadata.name")+" "+get(plain, "nodes", ".items[*].metadata.name"), "other plain")
	matches(t, "pod address", get(other, "pod/web-0", ".status.podIP"), `10\.90\.\d+\.\d+`)
	same(t, "kubernetes service", get(other, "svc/kubernetes", ".spec.clusterIP")+" "+get(other, "endpointslices/kubernetes", ".ports[0].port"), "10.96.0.1 7443")
	same(t, "pods that fit", get(other, "nodes", ".items[0].status.capacity.pods"), "7")
	says(t, "kubeconfig", other.Kubectl("config", "view"), "https://127.0.0.1:7443")
	same(t, "by DNS", other.Kubectl("exec", "me", "--", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://web-1.web.default.svc.kube.local:8080/"), "200")
	says(t, "resolv.conf", other.Kubectl("exec", "me", "--", "cat", "/etc/resolv.conf"), "search default.svc.kube.local svc.kube.local kube.local", "nameserver 10.96.0.10")
	says(t, "API from a pod", other.Kubectl("exec", "me", "--", "sh", "-c", "curl -s --cacert /var/run/secrets/kubernetes.io/serviceaccount/ca.crt https://kubernetes.default.svc.kube.local/version"), `"major": "1"`)
	same(t, "a name of its own", other.Run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", filepath.Join(other.Data, "pki", "ca.crt"), "--resolve", "berth.example.com:7443:127.0.0.1", "https://berth.example.com:7443/version").Out, "200")
	if _, err := os.Stat(filepath.Join(other.Data, "etcd")); err == nil {
		t.Error("there is an embedded datastore beside the other")
	}

	// What is in the datastore outlives the server; the pods run on.
	before := other.Containers()
	other.Signal("KILL")
	other.Start()
	same(t, "containers over kill -9", other.Containers(), before)
}

// A machine that runs no pods serves the API only.
func TestDisableAgent(t *testing.T) {
	c := cluster.New(t, "control", "--disable-agent")
	c.Launch()
	c.Eventually(60*time.Second, "ok", func() string {
		if _, err := os.Stat(filepath.Join(c.Data, "kubeconfig")); err != nil {
			return err.Error()
		}
		out, _ := c.Try("get", "--raw", "/readyz")
		return out
	})
	same(t, "nodes", c.Ask("get", "nodes"), "No resources found")
	c.Apply(set("name: bad}", "name: s}", "replicas: 0", "replicas: 1"))
	c.Eventually(60*time.Second, "Pending", func() string {
		return c.Kubectl("get", "pods", "--field-selector", "metadata.name=s-0", "-o", "jsonpath={.items[*].status.phase}")
	})
	c.Eventually(60*time.Second, "true", func() string {
		return fmt.Sprint(strings.Contains(c.Kubectl("describe", "pod", "s-0"), "no nodes available to schedule pods"))
	})
	for _, p := range c.Host.Processes() {
		if strings.Contains(p, "containerd") {
			t.Errorf("there is a container runtime: %s", p)
		}
	}
}
