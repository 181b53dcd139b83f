package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

const hash = "[bcdfghjklmnpqrstvwxz2456789]{8,10}"

// demo puts the demo set into the story's namespace.
func demo(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	c.Kubectl("apply", "-f", filepath.Join(repo(t), "examples/demo/web.yaml"))
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
}

// A change of the template replaces pods from the last to the first; each keeps
// its claim, its address and what it had on its disk. Revisions have upstream's names.
func rollouts(t *testing.T, c *cluster.Cluster) {
	demo(t, c)
	kept := `jsonpath={range .items[*]}{.metadata.name} {.status.podIP} {.spec.volumes[0].persistentVolumeClaim.claimName}{"\n"}{end}`
	volumes := `jsonpath={range .items[*]}{.metadata.name} {.spec.volumeName}{"\n"}{end}`
	pods, claims := c.Kubectl("get", "pods", "-o", kept), c.Kubectl("get", "pvc", "-o", volumes)
	matches(t, "revisions", c.Ask("get", "controllerrevisions", "-o", "name"), "controllerrevision.apps/web-"+hash)
	first := c.Kubectl("get", "sts", "web", "-o", "jsonpath={.status.currentRevision}")

	watch := c.Spawn("get", "pods", "--watch", "--output-watch-events", "-o", `jsonpath={.type} {.object.metadata.name}{"\n"}`)
	c.Eventually(60*time.Second, "3", func() string { return strconv.Itoa(strings.Count(watch.Said(), "ADDED")) })
	same(t, "set env", c.Kubectl("set", "env", "sts/web", "A=1"), "statefulset.apps/web env updated")
	status := c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	same(t, "end of rollout status", lastLine(status), "partitioned roll out complete: 3 new pods have been updated...")
	c.Eventually(60*time.Second, "ADDED web-2 web-1 web-0 DELETED web-2 web-1 web-0", func() string {
		var added, deleted []string
		for line := range strings.Lines(watch.Said()) {
			kind, name, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch kind {
			case "ADDED":
				added = append(added, name)
			case "DELETED":
				deleted = append(deleted, name)
			}
		}
		return "ADDED " + strings.Join(added[min(3, len(added)):], " ") + " DELETED " + strings.Join(deleted, " ")
	})
	same(t, "what pods keep", c.Ask("get", "pods", "-o", kept), pods)
	same(t, "claims", c.Ask("get", "pvc", "-o", volumes), claims)
	second := c.Kubectl("get", "sts", "web", "-o", "jsonpath={.status.currentRevision}")
	if second == first {
		t.Error("the revision did not change")
	}
	same(t, "history", c.Ask("rollout", "history", "sts/web"), "statefulset.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>")
	says(t, "history of one", c.Ask("rollout", "history", "sts/web", "--revision=2"), "statefulset.apps/web with revision #2", "A:\t1")

	says(t, "undo", c.Kubectl("rollout", "undo", "sts/web"), "statefulset.apps/web rolled back")
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	same(t, "revision after undo", c.Ask("get", "sts", "web", "-o", "jsonpath={.status.currentRevision}"), first)
	same(t, "history after undo", c.Ask("rollout", "history", "sts/web"), "statefulset.apps/web \nREVISION  CHANGE-CAUSE\n2         <none>\n3         <none>")
	same(t, "restart", c.Kubectl("rollout", "restart", "sts/web"), "statefulset.apps/web restarted")
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	matches(t, "restartedAt", c.Ask("get", "pod", "web-0", "-o", `jsonpath={.metadata.annotations.kubectl\.kubernetes\.io/restartedAt}`), "20.+")
	same(t, "what pods keep in the end", c.Ask("get", "pods", "-o", kept), pods)
	c.Kubectl("delete", "sts,svc", "web")
}

// partition holds back the lower ordinals; Parallel starts all at once; a set
// that is scaled to 0 comes back with its claims.
func partitionAndParallel(t *testing.T, c *cluster.Cluster) {
	demo(t, c)
	c.Kubectl("patch", "sts", "web", "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":2}},"template":{"metadata":{"annotations":{"v":"2"}}}}}`)
	status := c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	same(t, "rollout status", lastLine(status), "partitioned roll out complete: 1 new pods have been updated...")
	annotations := `jsonpath={range .items[*]}{.metadata.name}={.metadata.annotations.v} {end}`
	same(t, "who is new", c.Ask("get", "pods", "-o", annotations), "web-0= web-1= web-2=2")
	c.Kubectl("delete", "pod", "web-0")
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	c.Kubectl("wait", "--for=condition=Ready", "pod/web-0", "--timeout=150s")
	same(t, "a pod below the partition comes back as it was", c.Ask("get", "pods", "-o", annotations), "web-0= web-1= web-2=2")
	c.Kubectl("patch", "sts", "web", "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}`)
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	same(t, "all are new", c.Ask("get", "pods", "-o", annotations), "web-0=2 web-1=2 web-2=2")

	claims := c.Kubectl("get", "pvc", "-o", `jsonpath={range .items[*]}{.metadata.name} {.spec.volumeName}{"\n"}{end}`)
	c.Kubectl("scale", "sts", "web", "--replicas=0")
	c.Eventually(60*time.Second, "", func() string { return c.Kubectl("get", "pods", "-o", "name", "--ignore-not-found") })
	same(t, "status", c.Ask("get", "sts", "web", "--no-headers", "-o", "custom-columns=R:.spec.replicas,S:.status.replicas"), "0     0")
	c.Kubectl("scale", "sts", "web", "--replicas=3")
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	same(t, "claims", c.Ask("get", "pvc", "-o", `jsonpath={range .items[*]}{.metadata.name} {.spec.volumeName}{"\n"}{end}`), claims)
	c.Kubectl("delete", "sts", "web")

	// A readiness that comes late shows that none waits for another.
	c.Apply(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: many}
spec:
  serviceName: many
  podManagementPolicy: Parallel
  replicas: 4
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: "berth.dev/demo:1", readinessProbe: {exec: {command: [/nope]}}}]
`)
	c.Eventually(60*time.Second, "many-0 many-1 many-2 many-3", func() string {
		return c.Kubectl("get", "pods", "-l", "app=many", "--field-selector", "status.phase=Running", "-o", "jsonpath={.items[*].metadata.name}")
	})
	same(t, "none is ready", c.Ask("get", "sts", "many", "-o", "jsonpath={.status.replicas} {.status.readyReplicas}"), "4")
	c.Kubectl("scale", "sts", "many", "--replicas=1")
	c.Eventually(60*time.Second, "many-0", func() string {
		return c.Kubectl("get", "pods", "-l", "app=many", "-o", "jsonpath={.items[*].metadata.name}")
	})
	c.Kubectl("delete", "sts", "many")
}

// A set that is replaced as a whole: all pods are gone before the first of the new
// revision is made, also when the old ones never came up.
func recreate(t *testing.T, c *cluster.Cluster) {
	demo(t, c)
	c.Kubectl("patch", "sts", "web", "--type=merge", "-p", `{"spec":{"updateStrategy":{"type":"Recreate","rollingUpdate":null}}}`)
	same(t, "the strategy alone changes nothing", c.Kubectl("wait", "--for=jsonpath={.status.observedGeneration}=2", "sts/web", "--timeout=150s"), "statefulset.apps/web condition met")
	kept := `jsonpath={range .items[*]}{.metadata.name} {.status.podIP} {.spec.volumes[0].persistentVolumeClaim.claimName}{"\n"}{end}`
	pods := c.Kubectl("get", "pods", "-o", kept)
	watch := c.Spawn("get", "pods", "--watch", "--output-watch-events", "-o", `jsonpath={.type} {.object.metadata.name}{"\n"}`)
	c.Eventually(60*time.Second, "3", func() string { return strconv.Itoa(strings.Count(watch.Said(), "ADDED")) })
	for _, image := range []string{"berth.dev/none:1", "berth.dev/demo:1"} {
		before := len(strings.Fields(watch.Said()))
		c.Kubectl("patch", "sts", "web", "-p", `{"spec":{"template":{"metadata":{"annotations":{"image":"`+image+`"}},"spec":{"containers":[{"name":"demo","image":"`+image+`"}]}}}}`)
		if image == "berth.dev/none:1" {
			c.Eventually(60*time.Second, "ErrImagePull or ImagePullBackOff", func() string {
				said := c.Kubectl("get", "pod", "web-0", "--ignore-not-found", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
				if said == "ErrImagePull" || said == "ImagePullBackOff" {
					return "ErrImagePull or ImagePullBackOff"
				}
				return said
			})
			same(t, "in progress", c.Ask("get", "sts", "web", "-o", `jsonpath={.status.conditions[?(@.type=="Progressing")]['status','reason','message']}`), "True RecreateInProgress Waiting for new-revision pods to be created")
		} else {
			c.Kubectl("wait", `--for=jsonpath={.status.conditions[?(@.type=="Progressing")].reason}=RecreateCompleted`, "sts/web", "--timeout=150s")
			same(t, "completed", c.Ask("get", "sts", "web", "-o", `jsonpath={.status.conditions[?(@.type=="Progressing")]['status','message']}`), "False All pods recreated successfully")
		}
		// Of the old pods every one is gone before one of the new is there.
		made, gone, early := 0, 0, ""
		want, old := "1 made, 3 gone", 3
		if image == "berth.dev/demo:1" {
			want, old = "3 made, 1 gone", 1 // of an ordered set whose first pod did not come up
		}
		c.Eventually(60*time.Second, want, func() string {
			made, gone, early = 0, 0, ""
			words := strings.Fields(watch.Said())[before:]
			for i := 0; i+1 < len(words); i += 2 {
				switch words[i] {
				case "ADDED":
					if made++; gone < old && early == "" {
						early = fmt.Sprintf("%s was made when %d of %d old pods were gone", words[i+1], gone, old)
					}
				case "DELETED":
					gone++
				}
			}
			return fmt.Sprintf("%d made, %d gone", made, gone)
		})
		if early != "" {
			t.Errorf("%s: %s", image, early)
		}
	}
	same(t, "what pods keep", c.Ask("get", "pods", "-o", kept), pods)
	same(t, "rollout status", c.Refused("rollout", "status", "sts/web"), "error: rollout status is only available for RollingUpdate strategy type")
	same(t, "budgets cannot be kept", c.Refused("annotate", "sts", "web", "berth.dev/respect-pdb=true"),
		`The StatefulSet "web" is invalid: metadata.annotations[berth.dev/respect-pdb]: Invalid value: "true": cannot be kept with updateStrategy Recreate, which deletes every pod before it makes one`)
	c.Kubectl("delete", "sts,svc", "web")
}

// Pods of a set that was deleted without them run on, and a new set of the same
// name takes them over as they are.
func orphansAreAdopted(t *testing.T, c *cluster.Cluster) {
	demo(t, c)
	pods := func() string {
		return c.Kubectl("get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[0].restartCount}{"\n"}{end}`)
	}
	before := pods()
	c.Kubectl("delete", "sts", "web", "--cascade=orphan")
	same(t, "orphans", pods(), before)
	c.Eventually(60*time.Second, "", func() string {
		return strings.TrimSpace(c.Kubectl("get", "pods,controllerrevisions", "-o", "jsonpath={.items[*].metadata.ownerReferences[*].name}"))
	})
	demo(t, c)
	c.Eventually(60*time.Second, "web web web web", func() string {
		return c.Kubectl("get", "pods,controllerrevisions", "-o", "jsonpath={.items[*].metadata.ownerReferences[*].name}")
	})
	same(t, "adopted", pods(), before)
	c.Kubectl("delete", "sts", "web", "--cascade=foreground", "--timeout=150s")
	same(t, "pods after a foreground deletion", c.Ask("get", "pods", "-o", "name", "--ignore-not-found"), "")
}
