package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/test/e2e/cluster"
)

// What needs no cluster of its own runs beside the others on one cluster, each
// story in its own namespace.
func TestOneCluster(t *testing.T) {
	// Stories wait more than they work.
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set("6")
	}
	c := cluster.New(t, "shared", "--kubelet-paths=on", logSize, "--load-balancer-pool=192.0.2.200-192.0.2.201")
	t.Setenv("PATH", helpers(c)+":"+os.Getenv("PATH"))
	foldersOfItsOwn(t, c)
	c.Start()
	c.Import(nginxImage(t))
	// A node of one story must not be emptied by another: only names of their own.
	for name, story := range map[string]func(*testing.T, *cluster.Cluster){
		"bad-input":    badInput,
		"mistakes":     mistakes,
		"images":       imagesNotThere,
		"registry":     pullFromRegistry,
		"pulls":        pulls,
		"debugging":    debugging,
		"columns":      columnsOfUpstream,
		"describe":     describeAndExplain,
		"server":       whatTheServerSays,
		"logs":         logsOfContainers,
		"long-logs":    longLogs,
		"exec":         execAndAttach,
		"copy":         copyFiles,
		"changes":      changesByKubectl,
		"apply":        serverSideApply,
		"rollout":      rollouts,
		"budget":       rolloutWithinBudget,
		"jobs":         jobsRun,
		"autoscale":    autoscaled,
		"certificates": certificates,
		"partition":    partitionAndParallel,
		"recreate":     recreate,
		"rollback":     forcedRollback,
		"annotations":  askedByAnnotation,
		"names":        namesAndClaims,
		"orphan":       orphansAreAdopted,
		"crd":          customResources,
		"identity":     podIdentity,
		"old-kubectl":  olderKubectl,
		"liveness":     livenessAndCrashes,
		"readiness":    readinessAndEndpoints,
		"variables":    variables,
		"volumes":      volumesOfPods,
		"storage":      storageOfPods,
		"claims":       claimsLive,
		"snapshots":    volumeSnapshots,
		"pod-names":    namesAndNamespacesOfPods,
		"pod-order":    orderOfContainers,
		"pod-ends":     restartsAndEnds,
		"pod-security": securityOfContainers,
		"pod-users":    usersOfPods,
		"pod-seed":     everyFieldAtOnce,
		"pod-limits":   limitsOfPods,
		"pod-certs":    certificatesOfPods,
		"host-paths":   hostPathTypes,
		"mounted":      mountedObjects,
		"groups":       groupOfClaims,
		"pod-ports":    portsOfTheNode,
		"ways-in":      waysIntoServices,
		"policies":     policiesOfTheNetwork,
		"corefile":     corefileOfTheUser,
		"pod-resize":   resizedInPlace,
		"pod-probes":   probesAndHooks,
		"command-line": commandLine,
		"loops":        loopsBeside,
		"sticky":       stickyAddresses,
		"subnets":      poolsOfSubnets,
		"tutorial":     tutorials,
		"bound":        boundDirectly,
		"static":       staticPods,
		"shipper":      logShipper,
		"evicted":      overTheLimit,
		"neighbours":   badNeighbours,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, c.In(t, name))
		})
	}
}

const nginxName = "registry.k8s.io/nginx-slim:0.24"

// shell is a pod that runs a shell script in the nginx image, which has a shell,
// curl and the core utilities.
func shell(name, script, more string) string {
	return `
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `, labels: {app: ` + name + `}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: c
      image: ` + nginxName + `
      command: [sh, -c, ` + quote(script) + `]
` + more
}

func quote(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// forever keeps a shell up until it is asked to go.
const forever = "trap 'exit 0' TERM; while :; do sleep 0.1; done"

// toolsImage has what the nginx image lacks: tar for kubectl cp.
func toolsImage(t *testing.T) string {
	t.Helper()
	out := filepath.Join(cluster.Bin(t), "images", "tools.tar")
	if _, err := os.Stat(out); err == nil {
		return out
	}
	build := exec.CommandContext(t.Context(), filepath.Join(repo(t), "examples/debian-image.sh"), out, toolsName, t.TempDir(),
		"dash", "coreutils", "tar", "--", "-entrypoint", "sleep", "-cmd", "86400")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tools image: %v\n%s", err, text)
	}
	return out
}

const toolsName = "berth.dev/tools:1"

// text is what was printed, or what asks for it. What is asked for may come a
// moment later than what a test waited for before: an event, a count in a status.
type text interface{ string | func() string }

// asked is a text that is as wanted, or the last one when patience ends.
func asked[T text](got T, ok func(string) bool) string {
	switch got := any(got).(type) {
	case func() string:
		for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			if last := got(); ok(last) || time.Since(began) > cluster.Patience {
				return last
			}
		}
	default:
		return got.(string)
	}
}

// same compares what was printed, line by line.
func same[T text](t *testing.T, what string, got T, want string) {
	t.Helper()
	difference := func(s string) string { return cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(s)) }
	if diff := difference(asked(got, func(s string) bool { return difference(s) == "" })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// matches compares what was printed with a pattern.
func matches[T text](t *testing.T, what string, got T, pattern string) {
	t.Helper()
	whole := func(s string) bool { return matched("^(?s:"+pattern+")$", s) }
	if last := asked(got, whole); !whole(last) {
		t.Errorf("%s is\n%s\nwant\n%s", what, last, pattern)
	}
}

// says checks that all words are in a text.
func says[T text](t *testing.T, what string, got T, words ...string) {
	t.Helper()
	missing := func(s string) []string {
		return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.Contains(s, w) })
	}
	last := asked(got, func(s string) bool { return len(missing(s)) == 0 })
	for _, w := range missing(last) {
		t.Errorf("%s does not say %q:\n%s", what, w, last)
	}
}

// matched tells whether text matches a pattern.
func matched(pattern, text string) bool {
	return regexp.MustCompile(pattern).MatchString(strings.TrimSpace(text))
}
