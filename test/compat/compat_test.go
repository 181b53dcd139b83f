// Package compat asks the running server what it serves, does with each kind
// all that it offers, and writes the answer into docs/compatibility.md beside
// what Kubernetes 1.37 serves: go test ./test/compat -update. A kind, verb or
// subresource that is offered but not exercised here fails the test.
//
// testdata/objects holds an example of each kind as RESOURCE[.VERSION].GROUP.yaml:
// the first document is what most is done with, its status is written through
// the status subresource. Kinds whose names mean something have two documents.
package compat

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/controller/all/alltest"
)

var update = flag.Bool("update", false, "rewrite the tables in docs/compatibility.md")

// namespace is where all objects are made.
const namespace = "compat"

const accountWithin = 30 * time.Second

// resource is one served resource with its subresources.
type resource struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
	verbs      []string
	short      []string
	categories []string
	sub        map[string][]string // verbs of subresources
}

// String is "pods", or "deployments.v1.apps".
func (r resource) String() string {
	if r.Group == "" {
		return r.Resource
	}
	return r.Resource + "." + r.Version + "." + r.Group
}

// server is a cluster under test.
type server struct {
	*alltest.Cluster
	dynamic dynamic.Interface
	rest    rest.Interface
}

func open(t *testing.T) *server {
	t.Helper()
	s := &server{Cluster: alltest.Start(t, alltest.Options{})}
	config := rest.CopyConfig(s.Config)
	config.WarningHandler = rest.NoWarnings{}
	var err error
	s.dynamic, err = dynamic.NewForConfig(config)
	must(t, err)
	d, err := discovery.NewDiscoveryClientForConfig(config)
	must(t, err)
	s.rest = d.RESTClient()
	_, err = s.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	must(t, err)
	// Pods need the account that a loop puts there.
	account := metav1.ListOptions{FieldSelector: "metadata.name=default", Watch: true}
	w, err := s.Client.CoreV1().ServiceAccounts(namespace).Watch(t.Context(), account)
	must(t, err)
	defer w.Stop()
	select {
	case <-w.ResultChan():
	case <-time.After(accountWithin):
		t.Fatalf("no default account within %s", accountWithin)
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// served lists what discovery says, version by version.
func (s *server) served(t *testing.T) []resource {
	t.Helper()
	_, lists, err := s.Client.Discovery().ServerGroupsAndResources()
	must(t, err)
	var out []resource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		must(t, err)
		byName := map[string]int{}
		for _, r := range list.APIResources {
			if !strings.Contains(r.Name, "/") {
				slices.Sort(r.Verbs)
				byName[r.Name] = len(out)
				out = append(out, resource{
					GroupVersionResource: gv.WithResource(r.Name), kind: r.Kind, namespaced: r.Namespaced,
					verbs: r.Verbs, short: r.ShortNames, categories: r.Categories, sub: map[string][]string{},
				})
			}
		}
		for _, r := range list.APIResources {
			if name, sub, ok := strings.Cut(r.Name, "/"); ok {
				slices.Sort(r.Verbs)
				out[byName[name]].sub[sub] = r.Verbs
			}
		}
	}
	return out
}

// Everything that the server offers works, and the tables say no more.
func TestCompatibility(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	s := open(t)
	served := s.served(t)
	works := true
	for _, r := range served {
		works = t.Run(r.String(), func(t *testing.T) { s.exercise(t, r) }) && works
	}
	custom := s.customKind(t)
	works = t.Run("custom kind", func(t *testing.T) { s.exercise(t, custom) }) && works
	if !works {
		t.Fatal("the tables are left alone: not all of what is offered works")
	}
	upstream := readUpstream(t)
	t.Run("discovery as upstream", func(t *testing.T) { compare(t, served, upstream) })
	t.Run("tables", func(t *testing.T) { writeTables(t, served, upstream) })
}
