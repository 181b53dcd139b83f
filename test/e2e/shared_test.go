package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
	c := cluster.New(t, "shared", "--kubelet-paths=on", logSize)
	t.Setenv("PATH", helpers(c)+":"+os.Getenv("PATH"))
	foldersOfItsOwn(t, c)
	c.Start()
	c.Import(nginxImage(t))
	// A node of one story must not be emptied by another: only names of their own.
	for name, story := range map[string]func(*testing.T, *cluster.Cluster){
		"bad-input":    badInput,
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
		"pod-names":    namesAndNamespacesOfPods,
		"pod-order":    orderOfContainers,
		"pod-ends":     restartsAndEnds,
		"pod-security": securityOfContainers,
		"pod-ports":    portsOfTheNode,
		"pod-resize":   resizedInPlace,
		"pod-probes":   probesAndHooks,
		"command-line": commandLine,
		"tutorial":     tutorials,
		"bound":        boundDirectly,
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

// same compares what was printed, line by line.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// matches compares what was printed with a pattern.
func matches(t *testing.T, what, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile("^(?s:" + pattern + ")$").MatchString(strings.TrimSpace(got)) {
		t.Errorf("%s is\n%s\nwant\n%s", what, got, pattern)
	}
}

// says checks that all words are in a text.
func says(t *testing.T, what, got string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(got, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, got)
		}
	}
}

// matched tells whether text matches a pattern.
func matched(pattern, text string) bool {
	return regexp.MustCompile(pattern).MatchString(strings.TrimSpace(text))
}
