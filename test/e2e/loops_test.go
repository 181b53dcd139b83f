package e2e

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// What loops do that no other story meets: roles made of others, the slices of
// Endpoints that somebody wrote, and tokens whose time is over.
func loopsBeside(t *testing.T, c *cluster.Cluster) {
	ns := c.Namespace()
	aggregated := func() string {
		return c.Kubectl("get", "clusterrole", ns+"-all", "-o", `jsonpath={range .rules[*]}{.verbs[*]} {.resources[*]};{end}`)
	}
	role := func(name, resource string) string {
		return `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ` + ns + `-` + name + `, labels: {part-of: ` + ns + `}}
rules: [{apiGroups: [""], resources: [` + resource + `], verbs: [get]}]
`
	}
	c.Apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ` + ns + `-all}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {part-of: ` + ns + `}}]}
rules: []
---` + role("a", "pods"))
	c.Eventually(60*time.Second, "get pods;", aggregated)
	c.Apply(role("b", "secrets"))
	c.Eventually(60*time.Second, "get pods;get secrets;", aggregated)
	c.Kubectl("delete", "clusterrole", ns+"-a")
	c.Eventually(60*time.Second, "get secrets;", aggregated)
	c.Kubectl("delete", "clusterrole", ns+"-all", ns+"-b")

	endpoints := func(ip string) string {
		return `
apiVersion: v1
kind: Endpoints
metadata: {name: elsewhere}
subsets: [{addresses: [{ip: ` + ip + `}], ports: [{name: db, port: 5432}]}]
`
	}
	c.Apply("apiVersion: v1\nkind: Service\nmetadata: {name: elsewhere}\nspec: {ports: [{name: db, port: 5432}]}\n---" + endpoints("192.0.2.77"))
	mirrored := func() string {
		return c.Kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=elsewhere,endpointslice.kubernetes.io/managed-by=endpointslicemirroring-controller.k8s.io",
			"-o", `jsonpath={range .items[*]}{.endpoints[*].addresses[*]} {.ports[*].name}={.ports[*].port};{end}`)
	}
	c.Eventually(60*time.Second, "192.0.2.77 db=5432;", mirrored)
	c.Apply(endpoints("192.0.2.78"))
	c.Eventually(60*time.Second, "192.0.2.78 db=5432;", mirrored)
	c.Kubectl("delete", "endpoints", "elsewhere")
	c.Eventually(60*time.Second, "", mirrored)

	token := func(id, until string) string {
		return `
apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-` + id + `, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData: {token-id: ` + id + `, token-secret: 0123456789abcdef, usage-bootstrap-authentication: "true", expiration: "` + until + `"}
`
	}
	c.Kubectl("apply", "-n", "kube-system", "-f", c.File("tokens.yaml", strings.Join([]string{token("past00", "2020-01-01T00:00:00Z"), token("future", "2120-01-01T00:00:00Z")}, "---")))
	c.Eventually(60*time.Second, "secret/bootstrap-token-future", func() string {
		return strings.TrimSpace(c.Kubectl("get", "secret", "-n", "kube-system", "bootstrap-token-past00", "bootstrap-token-future", "--ignore-not-found", "-o", "name"))
	})
	c.Kubectl("delete", "secret", "-n", "kube-system", "bootstrap-token-future")
}
