package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// What the server says about itself and about rights.
func whatTheServerSays(t *testing.T, c *cluster.Cluster) {
	if strings.Contains(c.Log(), "is deprecated") {
		t.Errorf("the server warns itself:\n%s", c.Log())
	}
	for path, words := range map[string][]string{
		"/readyz?verbose": {"[+]etcd ok", "[+]informer-sync ok", "[+]poststarthook/rbac/bootstrap-roles ok", "readyz check passed"},
		"/livez?verbose":  {"[+]ping ok", "livez check passed"},
		"/healthz":        {"ok"},
		"/api":            {`"versions":["v1"]`},
		"/openapi/v3":     {"apis/apps/v1"},
		"/metrics":        {"apiserver_request_total"},
	} {
		says(t, "get --raw "+path, c.Ask("get", "--raw", path), words...)
	}
	var version map[string]string
	if err := json.Unmarshal([]byte(c.Kubectl("get", "--raw", "/version")), &version); err != nil {
		t.Fatal(err)
	}
	if version["major"] != "1" || version["minor"] != "37" || !strings.HasPrefix(version["gitVersion"], "v1.37.") {
		t.Errorf("version is %v", version)
	}
	resources := strings.Join(strings.Fields(c.Kubectl("api-resources")), " ")
	says(t, "api-resources", resources, "statefulsets sts apps/v1 true StatefulSet", "pods po v1 true Pod", "customresourcedefinitions crd,crds apiextensions.k8s.io/v1 false CustomResourceDefinition",
		"spiderippools sp spiderpool.spidernet.io/v2beta1 false SpiderIPPool", "events ev v1 true Event", "leases coordination.k8s.io/v1 true Lease")
	says(t, "api-versions", c.Kubectl("api-versions"), "apps/v1", "discovery.k8s.io/v1", "rbac.authorization.k8s.io/v1", "storage.k8s.io/v1", "\nv1")
	says(t, "version", c.Kubectl("version"), "Client Version: v1.37.", "Server Version: v1.37.")
	says(t, "cluster-info", c.Kubectl("cluster-info"), "Kubernetes control plane is running at https://127.0.0.1:6443")

	same(t, "can-i", c.Kubectl("auth", "can-i", "create", "pods"), "yes")
	r := c.Do("auth", "can-i", "create", "pods", "--as", "system:serviceaccount:server:default")
	if strings.TrimSpace(r.Out) != "no" || r.Code != 1 {
		t.Errorf("can-i as a service account: %+v", r)
	}
	says(t, "whoami", c.Kubectl("auth", "whoami"), "kubernetes-admin", "system:masters", "system:authenticated")
	same(t, "a request without the right", c.Do("get", "pods", "--as", "bob").Err,
		`Error from server (Forbidden): pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "server"`)

	c.Kubectl("create", "serviceaccount", "reader")
	c.Kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods")
	c.Kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=server:reader")
	token := c.Kubectl("create", "token", "reader", "--duration=10m")
	if strings.Count(token, ".") != 2 {
		t.Fatalf("token %q", token)
	}
	// kubectl prefers the certificate of the kubeconfig to a token.
	with := func(token string, args ...string) cluster.Result {
		return c.Run("curl", append([]string{"-s", "-k", "-H", "Authorization: Bearer " + token}, args...)...)
	}
	says(t, "pods by token", with(token, "https://127.0.0.1:6443/api/v1/namespaces/server/pods").Out, `"kind": "PodList"`)
	says(t, "nodes by token", with(token, "https://127.0.0.1:6443/api/v1/nodes").Out, `User \"system:serviceaccount:server:reader\" cannot list resource \"nodes\" in API group \"\" at the cluster scope`)
	says(t, "a wrong token", with(token+"x", "https://127.0.0.1:6443/api/v1/nodes").Out, `"code": 401`)
	says(t, "nobody", c.Run("curl", "-s", "-k", "https://127.0.0.1:6443/api/v1/nodes").Out, `User \"system:anonymous\" cannot list resource \"nodes\"`)
}

// Editing, patching, labels, scaling and waiting.
func changesByKubectl(t *testing.T, c *cluster.Cluster) {
	c.Apply(set("name: bad}", "name: s}"))
	for _, patch := range [][]string{
		{`-p={"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"}]}]}}}}`},
		{"--type=merge", `-p={"metadata":{"labels":{"x":"y"}}}`},
		{"--type=json", `-p=[{"op":"replace","path":"/spec/replicas","value":2}]`},
	} {
		same(t, "patch", c.Kubectl(append([]string{"patch", "sts", "s"}, patch...)...), "statefulset.apps/s patched")
	}
	same(t, "patched", c.Ask("get", "sts", "s", "-o", "jsonpath={.spec.replicas} {.metadata.labels.x} {.spec.template.spec.containers[0].env[0].value} {.spec.template.spec.containers[0].image}"), "2 y 1 berth.dev/demo:1")
	r := c.Do("patch", "sts", "s", "--type=json", `-p=[{"op":"test","path":"/spec/replicas","value":7}]`)
	if r.Code != 1 || !strings.Contains(r.Err, "The request is invalid: the server rejected our request due to an error in our request") {
		t.Errorf("%+v", r)
	}
	c.Kubectl("rollout", "status", "sts/s", "--timeout=150s")

	edit := c.KubectlCommand(t.Context(), "edit", "sts", "s")
	editor := c.File("editor", "#!/bin/sh\nexec sed -i 's/replicas: 2/replicas: 1/' \"$1\"\n")
	if err := os.Chmod(editor, 0o755); err != nil {
		t.Fatal(err)
	}
	edit.Env = append(edit.Environ(), "EDITOR="+editor)
	if out, err := edit.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "statefulset.apps/s edited" {
		t.Errorf("edit: %v %s", err, out)
	}
	c.Eventually(60*time.Second, "1", func() string { return c.Kubectl("get", "sts", "s", "-o", "jsonpath={.status.replicas}") })

	same(t, "scale", c.Kubectl("scale", "sts", "s", "--current-replicas=1", "--replicas=0"), "statefulset.apps/s scaled")
	same(t, "scale from elsewhere", c.Refused("scale", "sts", "s", "--current-replicas=4", "--replicas=5"), "error: Expected replicas to be 4, was 0")
	same(t, "label", c.Kubectl("label", "sts", "s", "a=b"), "statefulset.apps/s labeled")
	same(t, "label again", c.Refused("label", "sts", "s", "a=c"), "error: 'a' already has a value (b), and --overwrite is false")
	same(t, "label removed", c.Kubectl("label", "sts", "s", "a-"), "statefulset.apps/s unlabeled")
	same(t, "annotate", c.Kubectl("annotate", "sts", "s", "a=b"), "statefulset.apps/s annotated")
	c.Kubectl("wait", "--for=delete", "pod/s-0", "--timeout=150s")
	same(t, "wait in vain", c.Refused("wait", "--for=jsonpath={.spec.replicas}=3", "sts/s", "--timeout=1s"), "error: timed out waiting for the condition on statefulsets/s")

	c.Kubectl("create", "configmap", "c", "--from-literal=k=v")
	got := c.Kubectl("get", "configmap", "c", "-o", "yaml")
	same(t, "replace", c.Kubectl("replace", "-f", c.File("c.yaml", strings.ReplaceAll(got, "k: v", "k: w"))), "configmap/c replaced")
	says(t, "replace of what has changed", c.Refused("replace", "-f", c.File("c.yaml", got)), `Error from server (Conflict): error when replacing`, `Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again`)
	same(t, "dry run", c.Kubectl("delete", "configmap", "c", "--dry-run=server"), `configmap "c" deleted from changes namespace (server dry run)`)
	same(t, "delete", c.Kubectl("delete", "configmap", "c"), `configmap "c" deleted from changes namespace`)
	c.Kubectl("delete", "sts", "s")
}

// Server-side apply tells who owns what.
func serverSideApply(t *testing.T, c *cluster.Cluster) {
	text := func(value string) string {
		return c.File("c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: "+value+"}\n")
	}
	same(t, "first", c.Kubectl("apply", "--server-side", "--field-manager=a", "-f", text("v1")), "configmap/c serverside-applied")
	r := c.Do("diff", "--server-side", "--field-manager=a", "-f", text("v2"))
	if r.Code != 1 || !strings.Contains(r.Out, "-  k: v1\n+  k: v2\n") {
		t.Errorf("diff: %+v", r)
	}
	if r := c.Do("diff", "-f", text("v1")); r.Code != 0 || r.Out != "" {
		t.Errorf("diff of the same: %+v", r)
	}
	r = c.Do("apply", "--server-side", "--field-manager=b", "-f", text("v2"))
	if r.Code != 1 || !strings.HasPrefix(r.Err, "error: Apply failed with 1 conflict: conflict with \"a\": .data.k\n") {
		t.Errorf("conflict: %+v", r)
	}
	c.Kubectl("apply", "--server-side", "--field-manager=b", "--force-conflicts", "-f", text("v2"))
	same(t, "value", c.Ask("get", "configmap", "c", "-o", "jsonpath={.data.k}"), "v2")
	got := c.Kubectl("get", "configmap", "c", "--show-managed-fields", "-o", `jsonpath={range .metadata.managedFields[*]}{.manager} {.operation} {.fieldsV1}{"\n"}{end}`)
	same(t, "managers", got, `b Apply {"f:data":{"f:k":{}}}`)
	same(t, "apply of a list", c.Apply("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: d}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: e}}\n"), "configmap/d created\nconfigmap/e created")
	says(t, "prune", c.Apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d, labels: {p: q}}\n", "--prune", "-l", "p=q", "--prune-allowlist=core/v1/ConfigMap"), "configmap/d configured")
}

// A CustomResourceDefinition makes a kind that kubectl knows all about.
func customResources(t *testing.T, c *cluster.Cluster) {
	c.Apply(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: docks.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: docks, singular: dock, kind: Dock, shortNames: [dk]}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
      additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, required: [size], properties: {size: {type: integer, minimum: 1, description: "how long it is"}}}, status: {type: object, properties: {size: {type: integer}}}}}}
`)
	c.Kubectl("wait", "--for=condition=Established", "crd/docks.example.com", "--timeout=150s")
	dock := func(spec string) string {
		return "apiVersion: example.com/v1\nkind: Dock\nmetadata: {name: one}\nspec: " + spec + "\n"
	}
	same(t, "create", c.Apply(dock("{size: 3}")), "dock.example.com/one created")
	same(t, "get", c.Ask("get", "dk"), "NAME   SIZE\none    3")
	// The published document follows the definition within moments.
	c.Eventually(60*time.Second, "true", func() string {
		out, _ := c.Try("explain", "dock.spec")
		if strings.Contains(out, "size\t<integer> -required-") && strings.Contains(out, "how long it is") {
			return "true"
		}
		return out
	})
	says(t, "value out of range", c.Refused("apply", "-f", c.File("d.yaml", dock("{size: 0}"))), `The Dock "one" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1`)
	says(t, "unknown field", c.Refused("apply", "-f", c.File("d.yaml", dock("{size: 3, x: 1}"))), `strict decoding error: unknown field "spec.x"`)
	same(t, "scale", c.Kubectl("scale", "dock", "one", "--replicas=5"), "dock.example.com/one scaled")
	same(t, "changed", c.Ask("get", "dk", "one", "-o", "jsonpath={.spec.size} {.metadata.generation}"), "5 2")
	says(t, "api-resources", c.Kubectl("api-resources", "--api-group=example.com"), "docks")
	c.Kubectl("delete", "crd", "docks.example.com", "--timeout=150s")
	c.Eventually(60*time.Second, "gone", func() string {
		if out, err := c.Try("get", "dk"); err != nil {
			return "gone"
		} else {
			return out
		}
	})
}

// Ten commands by the machine's own older kubectl, if it has one.
func olderKubectl(t *testing.T, c *cluster.Cluster) {
	const older = "/usr/bin/kubectl"
	run := func(args ...string) cluster.Result {
		return c.Run(older, append([]string{"--kubeconfig", filepath.Join(c.Data, "kubeconfig"), "-n", "old-kubectl"}, args...)...)
	}
	if out, err := c.Host.Run(t.Context(), older, "version", "--client"); err != nil {
		t.Skipf("there is no older kubectl: %v %s", err, out)
	}
	c.File("pod.yaml", shell("old", "echo started; "+forever, ""))
	for _, step := range []struct{ command, says string }{
		{"version", "Server Version: v1.37."},
		{"get nodes", "Ready"},
		{"apply -f " + c.Path("pod.yaml"), "pod/old created"},
		{"wait --for=condition=Ready pod/old --timeout=150s", "condition met"},
		{"get pods -o wide", "1/1"},
		{"describe pod old", "Container started"},
		{"logs old", "started"},
		{"exec old -- hostname", "old"},
		{"explain sts.spec.ordinals", "FIELD: ordinals <StatefulSetOrdinals>"},
		{"label pod old a=b", "pod/old labeled"},
		{"api-resources", "statefulsets"},
		{"delete pod old", `pod "old" deleted`},
	} {
		r := run(strings.Fields(step.command)...)
		for began := time.Now(); r.Code == 0 && strings.HasPrefix(step.command, "logs") && !strings.Contains(r.Out, step.says) && time.Since(began) < cluster.Patience; {
			r = run(strings.Fields(step.command)...) // written a moment later
		}
		if r.Code != 0 || !strings.Contains(r.Out, step.says) {
			t.Errorf("kubectl %s: %+v, want %q", step.command, r, step.says)
		}
	}
}
