package namespace

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"
)

// shelf is the content of one namespace, by resource; what is stuck stays.
type shelf struct {
	kinds   []string
	objects map[string][]metav1.PartialObjectMetadata
	stuck   map[string]bool
	down    error
	refuse  error
	deleted []string
}

func (s *shelf) Kinds(context.Context) ([]metav1.APIResource, error) {
	var out []metav1.APIResource
	for _, k := range s.kinds {
		gr := schema.ParseGroupResource(k)
		out = append(out, metav1.APIResource{Name: gr.Resource, Group: gr.Group, Version: "v1", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}})
	}
	return out, s.down
}

func (s *shelf) List(_ context.Context, kind metav1.APIResource, _ string) ([]metav1.PartialObjectMetadata, error) {
	return s.objects[kind.Name], nil
}

func (s *shelf) Delete(_ context.Context, kind metav1.APIResource, _, name string, _ types.UID) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.deleted = append(s.deleted, kind.Name+"/"+name)
	if !s.stuck[kind.Name] {
		delete(s.objects, kind.Name)
	}
	return nil
}

func named(name string, more ...func(*metav1.ObjectMeta)) []metav1.PartialObjectMetadata {
	o := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, f := range more {
		f(&o.ObjectMeta)
	}
	return []metav1.PartialObjectMetadata{o}
}

var begun = time.Unix(1000, 0)

func ending() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", DeletionTimestamp: ptr.To(metav1.NewTime(begun))}}
}

func TestPodsGoFirst(t *testing.T) {
	s := &shelf{
		kinds: []string{"configmaps", "networkpolicies.networking.k8s.io", "statefulsets.apps", "pods"},
		objects: map[string][]metav1.PartialObjectMetadata{
			"configmaps": named("c"), "networkpolicies": named("n"), "statefulsets": named("web"),
			"pods": named("web-0", func(o *metav1.ObjectMeta) { o.DeletionGracePeriodSeconds = ptr.To(int64(30)) }),
		},
		stuck: map[string]bool{"pods": true},
	}
	found := sweep(t.Context(), s, ending(), begun.Add(time.Second))
	if d := cmp.Diff([]string{"pods/web-0"}, s.deleted); d != "" {
		t.Errorf("while a pod runs: %s", d)
	}
	if d := cmp.Diff(map[string]int{"pods.": 1}, found.Remaining); d != "" || found.Done() || len(found.Failures) > 0 {
		t.Errorf("found %+v %s", found, d)
	}
	found = sweep(t.Context(), s, ending(), begun.Add(31*time.Second))
	if len(found.Failures) != 1 || found.Failures[0].Error() != "unexpected items still remain in namespace: shop for gvr: /v1, Resource=pods" {
		t.Errorf("a pod that outlives its grace period: %v", found.Failures)
	}
	delete(s.objects, "pods")
	s.deleted = nil
	found = sweep(t.Context(), s, ending(), begun.Add(time.Second))
	if d := cmp.Diff([]string{"networkpolicies/n", "statefulsets/web", "configmaps/c"}, s.deleted); d != "" || !found.Done() {
		t.Errorf("without pods: %s %+v", d, found)
	}
}

func TestWhatHasAFinalizerIsNoFailure(t *testing.T) {
	s := &shelf{
		kinds:   []string{"configmaps"},
		objects: map[string][]metav1.PartialObjectMetadata{"configmaps": named("c", func(o *metav1.ObjectMeta) { o.Finalizers = []string{"example.com/keep"} })},
		stuck:   map[string]bool{"configmaps": true},
	}
	found := sweep(t.Context(), s, ending(), begun.Add(time.Hour))
	if found.Done() || len(found.Failures) > 0 || found.Finalizers["example.com/keep"] != 1 {
		t.Errorf("found %+v", found)
	}
}

// TestTheRestGoesWhenAnAPIIsDown has an API service that does not answer, and
// another kind whose deletion fails.
func TestTheRestGoesWhenAnAPIIsDown(t *testing.T) {
	s := &shelf{
		kinds:   []string{"configmaps"},
		objects: map[string][]metav1.PartialObjectMetadata{"configmaps": named("c")},
		down: &discovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{
			{Group: "metrics.k8s.io", Version: "v1beta1"}: errors.New("the server is currently unable to handle the request"),
		}},
	}
	found := sweep(t.Context(), s, ending(), begun)
	const want = "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: the server is currently unable to handle the request"
	if found.Discovery == nil || found.Discovery.Error() != want || found.Done() || strings.Join(s.deleted, " ") != "configmaps/c" {
		t.Errorf("deleted %v, found %v", s.deleted, found.Discovery)
	}
	s.objects["configmaps"], s.refuse = named("c"), errors.New("no")
	if found = sweep(t.Context(), s, ending(), begun); len(found.Failures) != 1 || found.Failures[0].Error() != "no" {
		t.Errorf("failures %v", found.Failures)
	}
}
