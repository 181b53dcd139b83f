// Package systems runs the stateful systems of examples/ on a test cluster: built,
// applied and written to as a user would.
package systems

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/load"
)

// System is one example: a StatefulSet, and how it is written to.
type System struct {
	// Name is its folder below examples.
	Name string
	// Namespace is the one that its manifests are written for, if that matters.
	Namespace string
	// Manifests are applied in this order.
	Manifests []string
	// Set is its StatefulSet.
	Set string
	// Primary tells that only its first pod takes writes.
	Primary bool
	// Store is a client of the system.
	Store func(load.Dial) load.Store
	// Member is a client that reads from one pod, what that has itself.
	Member func(dial load.Dial, pod string) load.Store
	// Replicas is the set whose pods have copies, if that is another than Set.
	Replicas string
	// Prepare readies the machine before the cluster starts, if that takes something.
	Prepare func(testing.TB, *cluster.Cluster)
	// Formed waits until the pods, which are Ready, are one system, if that takes longer.
	Formed func(*cluster.Cluster)
	// Freed is what a person has to do when a volume was full and is not any more,
	// for a system that does not go on by itself.
	Freed func(*cluster.Cluster)
}

// Folder is where the example lies.
func (s System) Folder() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "examples", s.Name)
}

// Build builds the example's images, if they are not there, and returns the archives.
func (s System) Build(t testing.TB) []string {
	t.Helper()
	out := filepath.Join(cluster.Bin(t), "images")
	build := exec.CommandContext(t.Context(), filepath.Join(s.Folder(), "build.sh"), out)
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the images of %s: %v\n%s", s.Name, err, text)
	}
	archives, err := filepath.Glob(filepath.Join(out, s.Name+"*.tar"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("%s/build.sh made no archive in %s (%v)", s.Name, out, err)
	}
	return archives
}

// Up builds the system, applies it and waits until it is complete.
func (s System) Up(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	for _, archive := range s.Build(t) {
		c.Import(archive)
	}
	s.Apply(c, s.Manifests...)
	s.Complete(c)
}

// Apply applies some of the example's manifests.
func (s System) Apply(c *cluster.Cluster, manifests ...string) {
	for _, m := range manifests {
		c.Kubectl("apply", "-f", filepath.Join(s.Folder(), m))
	}
}

// Complete waits until the set has all its pods, Ready and at its template. That is
// asked again and again: a busy machine may take many minutes for a system.
func (s System) Complete(c *cluster.Cluster) {
	c.Eventually(Limit, "complete", func() string {
		said, err := c.Try("get", "statefulset", s.Set, "-o", "jsonpath={.metadata.generation} {.status.observedGeneration} "+
			"{.status.currentRevision} {.status.updateRevision} {.spec.replicas} {.status.replicas} {.status.readyReplicas} {.status.updatedReplicas}")
		f := strings.Fields(said)
		if err == nil && len(f) == 8 && f[0] == f[1] && f[2] == f[3] && len(slices.Compact(f[4:])) == 1 {
			return "complete"
		}
		return said
	})
}

// Pods are the names of the set's pods.
func (s System) Pods(c *cluster.Cluster) []string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, _ := c.KubectlCommand(ctx, "get", "statefulset", s.Set, "-o", "jsonpath={.spec.replicas} {.spec.ordinals.start}").Output()
	replicas, start, _ := strings.Cut(string(out), " ")
	count, _ := strconv.Atoi(replicas) // none when it is not there
	first, _ := strconv.Atoi(start)    // 0 when nothing is said
	var pods []string
	for i := range count {
		pods = append(pods, fmt.Sprintf("%s-%d", s.Set, first+i))
	}
	return pods
}

// Said is what the pods' containers have printed last, for somebody who looks into
// a failure.
func (s System) Said(c *cluster.Cluster) string {
	var all strings.Builder
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, pod := range s.Pods(c) {
		out, _ := c.KubectlCommand(ctx, "logs", pod, "--all-containers", "--prefix", "--tail=15", "--ignore-errors").CombinedOutput()
		all.Write(out)
	}
	return all.String()
}

// Lose deletes a pod and waits until another one is Ready in its place.
func (s System) Lose(t testing.TB, c *cluster.Cluster, pod string) {
	t.Helper()
	uid := c.Kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
	c.Kubectl("delete", "pod", pod, "--timeout=150s")
	c.Eventually(300*time.Second, "another, Ready", func() string {
		said, err := c.Try("get", "pod", pod, "-o", `jsonpath={.metadata.uid} {.status.conditions[?(@.type=="Ready")].status}`)
		if now, ready, _ := strings.Cut(said, " "); err == nil && now != uid && ready == "True" {
			return "another, Ready"
		}
		return said
	})
}

// Roll replaces all pods and waits until they are Ready.
func (s System) Roll(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	uids := func() []string {
		return strings.Fields(c.Kubectl(append(append([]string{"get", "pods"}, s.Pods(c)...), "-o", "jsonpath={.items[*].metadata.uid}")...))
	}
	before := uids()
	c.Kubectl("rollout", "restart", "statefulset/"+s.Set)
	s.Complete(c)
	for _, uid := range uids() {
		if slices.Contains(before, uid) {
			t.Errorf("%s: a pod was not replaced", s.Name)
		}
	}
}

// Dial connects from the cluster's first machine to NAME:PORT, where NAME is what
// a pod of the namespace would say; the cluster's own DNS answers.
func Dial(c *cluster.Cluster) load.Dial {
	server := c.Kubectl("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}") + ":53"
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return c.Host.Dial(ctx, network, server)
	}}
	namespace := c.Namespace()
	if namespace == "" {
		namespace = "default"
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		name, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		// "pod.service" and "service" alike stand before the namespace.
		found, err := resolver.LookupHost(ctx, name+"."+namespace+".svc.cluster.local.")
		if err != nil {
			return nil, err
		}
		return c.Host.Dial(ctx, network, net.JoinHostPort(found[0], port))
	}
}
