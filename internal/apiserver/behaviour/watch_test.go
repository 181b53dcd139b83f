package behaviour

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func says(seen []event) []string {
	var out []string
	for _, e := range seen {
		out = append(out, e.Type+" "+e.Object.Name)
	}
	return out
}

func TestWatchResumes(t *testing.T) {
	w := start(t)
	from := into[corev1.ConfigMapList](t, w.get(maps)).ResourceVersion
	w.makeMap("a")
	w.must(http.MethodPatch, maps+"/a", `{"data":{"k":"w"}}`, mergePatch)
	w.makeMap("b")
	w.must(http.MethodDelete, maps+"/a", "")
	want := []string{"ADDED a", "MODIFIED a", "ADDED b", "DELETED a"}
	seen := w.watch(maps+"?watch=true&resourceVersion="+from, count(4))
	if got := says(seen); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for i, e := range seen {
		rest := w.watch(maps+"?watch=true&resourceVersion="+e.Object.ResourceVersion, count(3-i))
		if got := says(rest); !slices.Equal(got, want[i+1:]) {
			t.Errorf("after event %d: %v, want %v", i, got, want[i+1:])
		}
	}
	// The old form of the path.
	if got := says(w.watch("/api/v1/watch/namespaces/default/configmaps?resourceVersion="+seen[1].Object.ResourceVersion, count(2))); !slices.Equal(got, want[2:]) {
		t.Errorf("/api/v1/watch: %v", got)
	}
	one := w.watch(maps+"?watch=true&fieldSelector=metadata.name%3Db&resourceVersion="+from, count(1))
	if got := says(one); !slices.Equal(got, want[2:3]) {
		t.Errorf("of one name: %v", got)
	}
	// A new server starts from what is stored: who knows the last state goes on.
	last := into[corev1.ConfigMapList](t, w.get(maps)).ResourceVersion
	w.Restart()
	w.connect()
	w.makeMap("c")
	if got := says(w.watch(maps+"?watch=true&resourceVersion="+last, count(1))); got[0] != "ADDED c" {
		t.Errorf("after a restart: %v", got)
	}
}

func TestWatchOfTheUnknownPast(t *testing.T) {
	w := start(t)
	w.makeMap("a")
	w.makeMap("b")
	if _, err := w.Store.Client.Compact(t.Context(), w.revision(), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	w.Restart() // forgets what the watch cache remembers
	w.connect()
	seen := w.watch(maps+"?watch=true&resourceVersion=1", count(1))
	if e := seen[0]; e.Type != "ERROR" || e.Object.Code != http.StatusGone || e.Object.Reason != "Expired" || e.Object.Message != "too old resource version: 1 ("+resourceVersion(e.Object.Message)+")" {
		t.Errorf("got %+v", e)
	}
	seen = w.watch("/api/v1/namespaces/default/events?watch=true&resourceVersion=1", count(1))
	if e := seen[0]; e.Type != "ERROR" || e.Object.Code != http.StatusGone || e.Object.Reason != "Expired" {
		t.Errorf("straight from etcd: %+v", e)
	}
	// A server error, as upstream has it.
	w.get(maps+"?watch=true&resourceVersion=x").status(t, http.StatusInternalServerError, "", `resourceVersion: Invalid value: "x": strconv.ParseUint`)
}

// resourceVersion is what stands in the message's parentheses.
func resourceVersion(message string) string {
	var old, now int64
	_, _ = fmt.Sscanf(message, "too old resource version: %d (%d)", &old, &now)
	return fmt.Sprint(now)
}

func TestBookmarks(t *testing.T) {
	w := start(t)
	from := into[corev1.ConfigMapList](t, w.get(maps)).ResourceVersion
	// Something else moves on, and the watch ends soon: its bookmark comes first.
	go func() {
		time.Sleep(100 * time.Millisecond)
		_, _ = w.Client.CoreV1().ConfigMaps("kube-public").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
		_, _ = w.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
		_, _ = w.Client.CoreV1().ConfigMaps("other").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
	}()
	seen := w.watch(maps+"?watch=true&allowWatchBookmarks=true&timeoutSeconds=4&resourceVersion="+from, func(seen []event) bool {
		return len(seen) > 0 && seen[len(seen)-1].Type == "BOOKMARK" && seen[len(seen)-1].Object.ResourceVersion != from
	})
	for _, e := range seen {
		if e.Type != "BOOKMARK" || e.Object.Kind != "ConfigMap" || e.Object.APIVersion != "v1" || e.Object.Name != "" {
			t.Errorf("got %+v", e)
		}
	}
}

func TestStreamingList(t *testing.T) {
	w := start(t)
	for _, n := range []string{"b", "a", "c"} {
		w.makeMap(n)
	}
	const query = "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
	ended := func(seen []event) bool {
		return len(seen) > 0 && seen[len(seen)-1].Object.Annotations[metav1.InitialEventsAnnotationKey] == "true"
	}
	list := into[corev1.ConfigMapList](t, w.get(maps))
	for _, at := range []string{"", "&resourceVersion=0", "&resourceVersion=" + list.ResourceVersion} {
		seen := w.watch(maps+query+at, ended)
		if got := says(seen); !slices.Equal(got, []string{"ADDED a", "ADDED b", "ADDED c", "BOOKMARK "}) {
			t.Errorf("%s: %v", at, got)
		}
		if rv := seen[len(seen)-1].Object.ResourceVersion; rv < list.ResourceVersion {
			t.Errorf("%s: complete as of %s, not yet %s", at, rv, list.ResourceVersion)
		}
	}
	// Changes follow the end of the beginning.
	seen := w.watch(maps+query, func(seen []event) bool {
		if ended(seen) {
			w.makeMap("d")
		}
		return len(seen) == 5
	})
	if got := says(seen); got[4] != "ADDED d" {
		t.Errorf("got %v", got)
	}
}
