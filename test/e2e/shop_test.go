package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// A shop of three Deployments and two StatefulSets on two machines is restarted
// whole and loses a machine, while its customers go on. No request fails, and
// what was bought stays bought.
func TestShop(t *testing.T) {
	network := host.NewSwitch(t)
	one, two := network.Host("one"), network.Host("two")
	c := cluster.On(t, one, cluster.Bin(t)).Start()
	a := c.Agent(t, two)
	a.Launch()
	c.Eventually(60*time.Second, "one=True two=True ", func() string {
		return c.Kubectl("get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`)
	})
	c.Import(shopImage(t))
	a.Import(shopImage(t))
	shop := func(args ...string) string {
		t.Helper()
		return c.Kubectl(append([]string{"-n", "shop"}, args...)...)
	}
	workloads := []string{"deployment/front", "deployment/catalogue", "deployment/checkout", "statefulset/store", "statefulset/cache"}
	up := func() {
		t.Helper()
		for _, w := range workloads {
			shop("rollout", "status", w, "--timeout=150s")
		}
	}
	pods := func(field string) []string {
		return strings.Fields(shop("get", "pods", "-l", "app in (front, catalogue, checkout, store, cache)", "-o", "jsonpath={.items[*]."+field+"}"))
	}

	began := time.Now()
	c.Kubectl("apply", "-f", filepath.Join(repo(t), "examples/shop/manifests"))
	up()
	t.Logf("the shop is up after %s", time.Since(began).Round(10*time.Millisecond))
	if nodes := pods("spec.nodeName"); !slices.Contains(nodes, "one") || !slices.Contains(nodes, "two") {
		t.Fatalf("the pods are on %v", nodes)
	}
	c.Eventually(60*time.Second, "4 of 6", func() string {
		return shop("get", "resourcequota", "shop", "-o", "jsonpath={.status.used.persistentvolumeclaims} of {.status.hard.persistentvolumeclaims}")
	})
	url := "http://" + shop("get", "service", "front", "-o", "jsonpath={.spec.clusterIP}")
	for _, h := range []*host.Host{one, two} {
		c.Eventually(60*time.Second, "open", func() string {
			if _, err := request(clientOn(h), http.MethodGet, url+"/", "", ""); err != nil {
				return err.Error()
			}
			return "open"
		})
	}

	crowd := visit(t, url, one, two)
	before := pods("metadata.uid")
	shop("rollout", "restart", "deployment")
	shop("rollout", "restart", "statefulset")
	up()
	// Old pods of Deployments serve on for a while.
	c.Eventually(120*time.Second, "", func() string {
		return strings.Join(slices.DeleteFunc(pods("metadata.uid"), func(uid string) bool { return !slices.Contains(before, uid) }), " ")
	})
	crowd.mark(t, "all restarted")
	onEachNode(t, c)
	crowd.mark(t, "a DaemonSet rolled")

	c.Kubectl("drain", "two", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s")
	for _, pod := range strings.Fields(shop("get", "pods", "--field-selector", "spec.nodeName=two", "-o", "jsonpath={.items[*].metadata.name}")) {
		t.Errorf("%s is left on the node that was drained", pod)
	}
	daemonStays(t, c, "two")
	crowd.mark(t, "drained")
	c.Kubectl("uncordon", "two")
	up()
	crowd.mark(t, "as before")
	scaledForTheCrowd(t, c)
	crowd.mark(t, "scaled")
	crowd.leave()

	if len(crowd.failures) > 0 {
		t.Errorf("%d of %d requests failed:\n%s", len(crowd.failures), crowd.requests, strings.Join(crowd.failures[:min(20, len(crowd.failures))], "\n"))
	}
	if len(crowd.bought) < 20 {
		t.Errorf("only %d orders: nobody was there", len(crowd.bought))
	}
	ordersAreKept(t, c, crowd.bought, url)
	reported(t, c, len(crowd.bought))
}

// scaledForTheCrowd lets the autoscaler find the front's pods too busy: what the
// crowd costs them depends on the machine, so as much as any machine spends is too much.
func scaledForTheCrowd(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	c.Kubectl("-n", "shop", "patch", "hpa", "front", "--type=json", "-p", `[{"op": "replace", "path": "/spec/metrics/0/resource/target/averageUtilization", "value": 1}]`)
	c.Eventually(180*time.Second, "4 of 4 ready, ScalingActive=True", func() string {
		return c.Kubectl("-n", "shop", "get", "deployment", "front", "-o", "jsonpath={.status.readyReplicas} of {.spec.replicas} ready, ") +
			c.Kubectl("-n", "shop", "get", "hpa", "front", "-o", `jsonpath={range .status.conditions[?(@.type=="ScalingActive")]}{.type}={.status}{end}`)
	})
}

// ordersAreKept looks for every acknowledged order, through the shop and on the
// disk of each member of the store.
func ordersAreKept(t *testing.T, c *cluster.Cluster, bought []string, url string) {
	t.Helper()
	missing := func(where string, header http.Header) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, where+"/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		response, err := clientOn(c.Host).Do(r)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		var all []struct{ ID string }
		if err := json.NewDecoder(response.Body).Decode(&all); err != nil {
			return err.Error()
		}
		kept := map[string]bool{}
		for _, o := range all {
			if kept[o.ID] {
				t.Errorf("%s has %s twice", where, o.ID)
			}
			kept[o.ID] = true
		}
		return strings.Join(slices.DeleteFunc(slices.Clone(bought), func(id string) bool { return kept[id] }), " ")
	}
	c.Eventually(60*time.Second, "", func() string { return missing(url, http.Header{}) })
	for _, member := range []string{"store-0", "store-1"} {
		address := c.Kubectl("-n", "shop", "get", "pod", member, "-o", "jsonpath={.status.podIP}")
		c.Eventually(60*time.Second, "", func() string {
			return missing("http://"+address+":8080", http.Header{"Authorization": {"Bearer change-me"}})
		})
	}
}

// reported runs the CronJob's job now; it counts the orders and writes them down
// with the right that its account has.
func reported(t *testing.T, c *cluster.Cluster, orders int) {
	t.Helper()
	c.Kubectl("-n", "shop", "create", "job", "now", "--from=cronjob/report")
	c.Kubectl("-n", "shop", "wait", "--for=condition=Complete", "job/now", "--timeout=150s")
	var counted int
	if err := json.Unmarshal([]byte(c.Kubectl("-n", "shop", "get", "configmap", "report", "-o", "jsonpath={.data.orders}")), &counted); err != nil || counted < orders {
		t.Errorf("the report counts %d orders of %d (%v)", counted, orders, err)
	}
}

// shopImage builds the shop's image once.
func shopImage(t testing.TB) string {
	t.Helper()
	out := filepath.Join(cluster.Bin(t), "images", "shop.tar")
	build := exec.CommandContext(t.Context(), filepath.Join(repo(t), "examples/shop/build.sh"), filepath.Dir(out))
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the shop's image: %v\n%s", err, text)
	}
	return out
}
