package host

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
)

// What is shared is what the cache's own List selects, and nothing is copied.
func TestShareIsListWithoutCopies(t *testing.T) {
	pods := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
	for i := range 12 {
		p := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
		p.Namespace, p.Name = fmt.Sprint("ns", i%2), fmt.Sprint("p", i)
		p.Labels = map[string]string{"third": fmt.Sprint(i % 3)}
		p.Spec.NodeName, p.ResourceVersion = fmt.Sprint("n", i%4), "7"
		pods.Items = append(pods.Items, p)
	}
	server := httptest.NewServer(serveList(pods))
	t.Cleanup(server.Close) // after the context of the test, which the watches wait for
	h := New(Config{RESTConfig: func(string, ...string) *rest.Config { return &rest.Config{Host: server.URL} }},
		loop.Loop{Watches: []loop.Watch{{Kind: &corev1.Pod{}}}, Indexes: []loop.Index{podindex.ByNode()}})
	shared, err := h.newCache()
	if err != nil {
		t.Fatal(err)
	}
	informers, err := h.prepare(t.Context(), shared)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = shared.Start(t.Context()) }()
	if !shared.WaitForCacheSync(t.Context()) {
		t.Fatal("the cache is not filled")
	}
	read := sharer{shared, informers}
	for name, opts := range map[string][]client.ListOption{
		"all":                    nil,
		"of a namespace":         {client.InNamespace("ns1")},
		"of a node":              {client.MatchingFields{podindex.Node: "n2"}},
		"of both":                {client.InNamespace("ns0"), client.MatchingFields{podindex.Node: "n2"}},
		"of neither":             {client.InNamespace("ns1"), client.MatchingFields{podindex.Node: "n2"}},
		"with a label":           {client.MatchingLabels{"third": "1"}},
		"with a label, of these": {client.InNamespace("ns1"), client.MatchingLabels{"third": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := loop.List[*corev1.Pod](t.Context(), onlyReader{shared}, &corev1.PodList{}, opts...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := loop.List[*corev1.Pod](t.Context(), read, &corev1.PodList{}, opts...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(names(want), names(got)); diff != "" || (name == "of neither") != (len(got) == 0) {
				t.Error(diff)
			}
			again, err := loop.List[*corev1.Pod](t.Context(), read, &corev1.PodList{}, opts...)
			if err != nil {
				t.Fatal(err)
			}
			for _, pod := range again {
				if !slices.Contains(got, pod) {
					t.Errorf("%s is another copy", pod.Name)
				}
			}
		})
	}
	if _, err := loop.List[*corev1.Pod](t.Context(), read, &corev1.PodList{}, client.MatchingFields{"no.such": "x"}); err == nil {
		t.Error("an index that nobody declared")
	}
	if _, known, _ := read.Share(&corev1.Secret{}, &client.ListOptions{}); known {
		t.Error("a kind that is not held")
	}
}

// onlyReader hides that the cache can share.
type onlyReader struct{ cache.Cache }

func names(pods []*corev1.Pod) []string {
	var all []string
	for _, p := range pods {
		all = append(all, p.Namespace+"/"+p.Name)
	}
	slices.Sort(all)
	return all
}

// serveList answers lists with list, and watches of them with its items.
func serveList(list *corev1.PodList) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		if r.URL.Query().Get("watch") == "" {
			_ = encoder.Encode(list)
			return
		}
		if r.URL.Query().Get("sendInitialEvents") == "true" {
			for i := range list.Items {
				_ = encoder.Encode(map[string]any{"type": "ADDED", "object": &list.Items[i]})
			}
			_ = encoder.Encode(map[string]any{"type": "BOOKMARK", "object": &corev1.Pod{
				TypeMeta:   list.Items[0].TypeMeta,
				ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}},
			}})
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
}
