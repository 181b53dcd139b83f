package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
)

// kubectl get prints upstream's columns.
func columnsOfUpstream(t *testing.T, c *cluster.Cluster) {
	c.Kubectl("apply", "-f", filepath.Join(repo(t), "examples/demo/web.yaml"))
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	c.Kubectl("create", "configmap", "c", "--from-literal=a=b")
	c.Kubectl("create", "secret", "generic", "s", "--from-literal=a=b")
	const (
		age      = `([0-9]+[smh])+`
		node     = "shared"
		address  = `10\.42\.[0-9]+\.[0-9]+`
		volume   = `pvc-[0-9a-f-]{36}`
		revision = `web-[bcdfghjklmnpqrstvwxz2456789]{8,10}`
	)
	for request, want := range map[string][2]string{
		"pods":                            {"NAME READY STATUS RESTARTS AGE", "web-0 1/1 Running 0 " + age},
		"pods -o wide":                    {"NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES", "web-0 1/1 Running 0 " + age + " " + address + " " + node + " <none> <none>"},
		"pods -A":                         {"NAMESPACE NAME READY STATUS RESTARTS AGE", ""},
		"pods --show-labels":              {"NAME READY STATUS RESTARTS AGE LABELS", "web-0 1/1 Running 0 " + age + " app=web,apps.kubernetes.io/pod-index=0,controller-revision-hash=" + revision + ",statefulset.kubernetes.io/pod-name=web-0"},
		"sts":                             {"NAME READY AGE", "web 3/3 " + age},
		"sts -o wide":                     {"NAME READY AGE CONTAINERS IMAGES", "web 3/3 " + age + " demo berth.dev/demo:1"},
		"controllerrevisions":             {"NAME CONTROLLER REVISION AGE", revision + " statefulset.apps/web 1 " + age},
		"svc":                             {"NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE", "web ClusterIP None <none> 8080/TCP " + age},
		"svc -o wide":                     {"NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR", "web ClusterIP None <none> 8080/TCP " + age + " app=web"},
		"svc -n default":                  {"NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE", `kubernetes ClusterIP 10\.43\.0\.1 <none> 443/TCP ` + age},
		"endpoints kubernetes -n default": {"NAME ENDPOINTS AGE", `kubernetes 172\.30\.0\.2:6443 ` + age},
		"endpointslices":                  {"NAME ADDRESSTYPE PORTS ENDPOINTS AGE", "web-[a-z0-9]+ IPv4 8080 " + address + "," + address + "," + address + " " + age},
		"pvc":                             {"NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE", "data-web-0 Bound " + volume + " 100Mi RWO local <unset> " + age},
		"pvc -o wide":                     {"NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE VOLUMEMODE", "data-web-0 Bound " + volume + " 100Mi RWO local <unset> " + age + " Filesystem"},
		"pv":                              {"NAME CAPACITY ACCESS MODES RECLAIM POLICY STATUS CLAIM STORAGECLASS VOLUMEATTRIBUTESCLASS REASON AGE", ""},
		"pv -o wide":                      {"NAME CAPACITY ACCESS MODES RECLAIM POLICY STATUS CLAIM STORAGECLASS VOLUMEATTRIBUTESCLASS REASON AGE VOLUMEMODE", ""},
		"sc local":                        {"NAME PROVISIONER RECLAIMPOLICY VOLUMEBINDINGMODE ALLOWVOLUMEEXPANSION AGE", `local \(default\) berth.dev/local Delete WaitForFirstConsumer true ` + age},
		"nodes":                           {"NAME STATUS ROLES AGE VERSION", node + ` Ready control-plane ` + age + ` v1\.37\.[0-9]+\+berth.*`},
		"nodes -o wide":                   {"NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME", node + ` Ready control-plane ` + age + ` v1\.37\.[0-9]+\+berth\S* 172\.30\.0\.2 <none> .* \S+ containerd://v?2\.\S+`},
		"events":                          {"LAST SEEN TYPE REASON OBJECT MESSAGE", ""},
		"events -o wide":                  {"LAST SEEN TYPE REASON OBJECT SUBOBJECT SOURCE MESSAGE FIRST SEEN COUNT NAME", ""},
		"cm c":                            {"NAME DATA AGE", "c 1 " + age},
		"secrets":                         {"NAME TYPE DATA AGE", "s Opaque 1 " + age},
		"sa":                              {"NAME SECRETS AGE", "default 0 " + age},
		"ns columns":                      {"NAME STATUS AGE", "columns Active " + age},
		"leases -n kube-node-lease":       {"NAME HOLDER AGE", node + " " + node + " " + age},
		"clusterroles system:node":        {"NAME CREATED AT", "system:node 20.*Z"},
		"clusterrolebindings system:node-proxier -o wide": {"NAME ROLE AGE USERS GROUPS SERVICEACCOUNTS", "system:node-proxier ClusterRole/system:node-proxier " + age + " system:kube-proxy"},
		"sp":         {"NAME VERSION SUBNET ALLOCATED-IP-COUNT TOTAL-IP-COUNT DEFAULT", `default-ipv4 4 10\.42\.0\.0/16 [0-9]+ 6553[0-9] true`},
		"sp -o wide": {"NAME VERSION SUBNET ALLOCATED-IP-COUNT TOTAL-IP-COUNT DEFAULT DISABLE NODENAME MULTUSNAME APP-NAMESPACE", `default-ipv4 4 10\.42\.0\.0/16 [0-9]+ 6553[0-9] true false`},
		"se":         {"NAME INTERFACE IPV4POOL IPV4 IPV6POOL IPV6 NODE", "web-0 eth0 default-ipv4 " + address + "/[0-9]+ " + node},
	} {
		got := c.Kubectl(append([]string{"get"}, strings.Fields(request)...)...)
		lines := strings.Split(got, "\n")
		for i, line := range lines {
			lines[i] = strings.Join(strings.Fields(line), " ")
		}
		// A warning may stand above the table.
		if strings.HasPrefix(lines[0], "Warning: ") {
			lines = lines[1:]
		}
		if lines[0] != want[0] {
			t.Errorf("get %s: columns\n%s\nwant\n%s", request, lines[0], want[0])
		}
		if want[1] != "" {
			matches(t, "first row of get "+request, lines[1], want[1])
		}
	}
	says(t, "get all", c.Ask("get", "all"), "pod/web-0", "service/web", "statefulset.apps/web")
	same(t, "several kinds by name", c.Ask("get", "sts,svc", "-o", "name"), "statefulset.apps/web\nservice/web")
	same(t, "custom columns", c.Ask("get", "pods", "-o", "custom-columns=N:.metadata.name,P:.status.phase"), "N       P\nweb-0   Running\nweb-1   Running\nweb-2   Running")
	same(t, "pages of one", c.Ask("get", "pods", "--chunk-size=1", "-o", "name"), "pod/web-0\npod/web-1\npod/web-2")
	same(t, "selected by field", c.Ask("get", "pods", "--field-selector", "metadata.name=web-1", "-o", "name"), "pod/web-1")
	same(t, "nothing there", c.Ask("get", "roles"), "No resources found in columns namespace.")
}
