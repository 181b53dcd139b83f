package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// held asks for the set's Held condition.
const held = `jsonpath={.status.conditions[?(@.type=="Held")]['reason','message']}`

// A set that hangs on an image that does not exist says so, and comes up by itself
// as soon as its template is good again; what worked is not touched.
func forcedRollback(t *testing.T, c *cluster.Cluster) {
	demo(t, c)
	uids := func() string {
		return c.Kubectl("get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.name}={.metadata.uid} {end}`)
	}
	before := strings.Fields(uids())
	same(t, "wait", c.Kubectl("wait", "--for=condition=Available", "sts/web", "--timeout=150s"), "statefulset.apps/web condition met")
	same(t, "a bad image", c.Kubectl("set", "image", "sts/web", "demo=berth.dev/none:1"), "statefulset.apps/web image updated")
	c.Eventually(60*time.Second, "held", func() string {
		said := c.Kubectl("get", "sts", "web", "-o", held)
		if strings.HasPrefix(said, "AwaitReady waiting for web-2 to be Ready: container demo in ") {
			return "held"
		}
		return said
	})
	c.Eventually(60*time.Second, "said", func() string { // events are written when there is time
		said := c.Kubectl("events", "--for", "statefulset/web", "--types=Warning")
		if strings.Contains(said, "Held") && strings.Contains(said, "waiting for web-2 to be Ready") {
			return "said"
		}
		return said
	})
	says(t, "why", c.Run(c.Berth(), "why", "sts/web", "-n", c.Namespace(), "--kubeconfig", c.Data+"/kubeconfig").Out, "berth.dev/none:1", "ImagePull")
	says(t, "rollout status", c.Refused("rollout", "status", "sts/web", "--timeout=1s"), "timed out waiting for the condition")
	if after := strings.Fields(uids()); after[0] != before[0] || after[1] != before[1] {
		t.Errorf("pods were %v, are %v", before, after)
	}

	c.Kubectl("set", "image", "sts/web", "demo=berth.dev/demo:1")
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	c.Kubectl("wait", "--for=condition=Available", "sts/web", "--timeout=150s")
	if after := strings.Fields(uids()); after[0] != before[0] || after[1] != before[1] || after[2] == before[2] {
		t.Errorf("pods were %v, are %v", before, after)
	}
	same(t, "held when all is well", c.Ask("get", "sts", "web", "-o", held), "")
	c.Kubectl("delete", "sts,svc", "web")
}

// What annotations ask for, on real containers.
func askedByAnnotation(t *testing.T, c *cluster.Cluster) {
	demo(t, c)
	pods := func() string { return c.Kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.name}") }
	ready := func() {
		t.Helper()
		c.Kubectl("wait", `--for=jsonpath={.status.conditions[?(@.type=="Progressing")].reason}=RolloutComplete`, "sts/web", "--timeout=150s")
	}

	// An ordinal is taken out of the middle and comes back with its claim.
	claims := c.Kubectl("get", "pvc", "-o", "jsonpath={.items[*].spec.volumeName}")
	c.Kubectl("annotate", "sts", "web", "berth.dev/reserve-ordinals=1")
	c.Eventually(60*time.Second, "web-0 web-2 web-3", pods)
	ready()
	c.Kubectl("annotate", "sts", "web", "berth.dev/reserve-ordinals-")
	c.Eventually(60*time.Second, "web-0 web-1 web-2", pods)
	ready()
	says(t, "claims", c.Ask("get", "pvc", "-o", "jsonpath={.items[*].spec.volumeName}"), strings.Fields(claims)...)

	// A paused set keeps its pods, until it goes on.
	uids := func() string { return c.Kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}") }
	before := uids()
	c.Kubectl("annotate", "sts", "web", "berth.dev/paused=true")
	c.Kubectl("set", "env", "sts/web", "A=1")
	c.Kubectl("wait", `--for=jsonpath={.status.conditions[?(@.type=="Progressing")].reason}=RolloutPaused`, "sts/web", "--timeout=150s")
	same(t, "paused", uids(), before)
	c.Kubectl("annotate", "sts", "web", "berth.dev/paused-")
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")

	// One pod is replaced, the others stay.
	before = uids()
	c.Kubectl("label", "pod", "web-1", "berth.dev/replace=true")
	c.Eventually(60*time.Second, "replaced", func() string {
		was, is := strings.Fields(before), strings.Fields(uids())
		if len(is) == 3 && is[0] == was[0] && is[1] != was[1] && is[2] == was[2] {
			return "replaced"
		}
		return strings.Join(is, " ")
	})
	ready()

	// One ordinal differs.
	c.Kubectl("create", "configmap", "web-own", `--from-literal=1=spec: {containers: [{name: demo, env: [{name: ROLE, value: spare}]}]}`)
	before = uids()
	c.Kubectl("annotate", "sts", "web", "berth.dev/overrides=web-own")
	role := `jsonpath={range .items[*]}{.metadata.name}={.spec.containers[0].env[?(@.name=="ROLE")].value} {end}`
	c.Eventually(60*time.Second, "web-0= web-1=spare web-2=", func() string { return strings.TrimSpace(c.Kubectl("get", "pods", "-o", role)) })
	ready()
	was, is := strings.Fields(before), strings.Fields(uids())
	if is[0] != was[0] || is[1] == was[1] || is[2] != was[2] {
		t.Errorf("pods were %v, are %v", was, is)
	}
	c.Kubectl("delete", "configmap", "web-own")
	c.Kubectl("wait", `--for=jsonpath={.status.conditions[?(@.type=="Held")].reason}=OverridesUnusable`, "sts/web", "--timeout=150s")
	c.Kubectl("annotate", "sts", "web", "berth.dev/overrides-")
	c.Eventually(60*time.Second, "web-0= web-1= web-2=", func() string { return strings.TrimSpace(c.Kubectl("get", "pods", "-o", role)) })
	ready()

	// All start at once when the policy says so, which may change.
	same(t, "policy", c.Kubectl("patch", "sts", "web", "-p", `{"spec":{"podManagementPolicy":"Parallel"}}`), "statefulset.apps/web patched")
	c.Kubectl("patch", "sts", "web", "-p", `{"spec":{"podManagementPolicy":"OrderedReady"}}`)

	// Deleting the set stops its pods one by one.
	c.Kubectl("annotate", "sts", "web", "berth.dev/ordered-teardown=true")
	c.Kubectl("wait", `--for=jsonpath={.metadata.finalizers[0]}=berth.dev/ordered-teardown`, "sts/web", "--timeout=150s")
	watch := c.Spawn("get", "pods", "--watch", "--output-watch-events", "-o", `jsonpath={.type} {.object.metadata.name} {.object.metadata.deletionTimestamp}{"\n"}`)
	c.Eventually(60*time.Second, "3", func() string { return strconv.Itoa(strings.Count(watch.Said(), "ADDED")) })
	c.Kubectl("delete", "sts", "web", "--timeout=150s")
	c.Eventually(60*time.Second, "web-2 gone web-1 gone web-0 gone", func() string {
		var order []string
		terminating := map[string]bool{}
		for line := range strings.Lines(watch.Said()) {
			words := strings.Fields(line)
			switch {
			case words[0] == "DELETED":
				order = append(order, "gone")
			case len(words) == 3 && !terminating[words[1]]:
				terminating[words[1]] = true
				order = append(order, words[1])
			}
		}
		return strings.Join(order, " ")
	})
	c.Kubectl("delete", "svc", "web")
}

// What upstream accepts and then fails at, or refuses, and Berth does not.
func namesAndClaims(t *testing.T, c *cluster.Cluster) {
	long := strings.Repeat("n", 60)
	c.Apply(set("name: bad}", "name: "+long+"}", "replicas: 0", "replicas: 1"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/"+long+"-0", "--timeout=150s")
	says(t, "61 characters", c.Refused("apply", "-f", c.File("long.yaml", set("name: bad}", "name: "+long+"n}"))),
		`metadata.name: Invalid value`, "must be no more than 60 characters: its pods are called by it and their ordinal")
	says(t, "a grace of nothing", c.Kubectl("patch", "sts", long, "-p", `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":0}}}}`), "Warning: ", "terminationGracePeriodSeconds")
	c.Kubectl("delete", "sts", long)

	demo(t, c)
	grow := `[{"op":"replace","path":"/spec/volumeClaimTemplates/0/spec/resources/requests/storage","value":"9Gi"}]`
	c.Kubectl("patch", "sts", "web", "--type=json", "-p", grow)
	same(t, "claims grow with their template", c.Ask("get", "pvc", "-l", "app=web", "-o", "jsonpath={.items[*].status.capacity.storage}"), "9Gi 9Gi 9Gi")
	says(t, "another field", c.Refused("patch", "sts", "web", "-p", `{"spec":{"serviceName":"other"}}`), `spec.serviceName: Invalid value: "other": field is immutable`)
	c.Kubectl("delete", "sts,svc", "web")
}
