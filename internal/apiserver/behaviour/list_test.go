package behaviour

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
)

func names(list corev1.ConfigMapList) string {
	var out []string
	for _, m := range list.Items {
		out = append(out, m.Name)
	}
	return strings.Join(out, " ")
}

func TestChunkedLists(t *testing.T) {
	w := start(t)
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		w.makeMap(n)
	}
	first := into[corev1.ConfigMapList](t, w.get(maps+"?limit=2"))
	if names(first) != "a b" || first.Continue == "" || first.RemainingItemCount == nil || *first.RemainingItemCount != 3 {
		t.Fatalf("first chunk: %s, %+v", names(first), first.ListMeta)
	}
	// Later chunks are of the revision of the first.
	w.must(http.MethodDelete, maps+"/c", "")
	w.makeMap("bb")
	second := into[corev1.ConfigMapList](t, w.get(maps+"?limit=2&continue="+first.Continue))
	if names(second) != "c d" || second.ResourceVersion != first.ResourceVersion {
		t.Errorf("second chunk: %s at %s, want c d at %s", names(second), second.ResourceVersion, first.ResourceVersion)
	}
	last := into[corev1.ConfigMapList](t, w.get(maps+"?limit=2&continue="+second.Continue))
	if names(last) != "e" || last.Continue != "" || last.RemainingItemCount != nil {
		t.Errorf("last chunk: %s, %+v", names(last), last.ListMeta)
	}
	if labelled := into[corev1.ConfigMapList](t, w.get(maps+"?limit=2&labelSelector=x%3Dy")); labelled.Continue != "" || labelled.RemainingItemCount != nil {
		t.Errorf("nothing matches, and yet: %+v", labelled.ListMeta)
	}
	for query, want := range map[string]string{
		"limit=x": `strconv.ParseInt: parsing "x": invalid syntax`,
		"limit=2&continue=" + base64.RawURLEncoding.EncodeToString([]byte("x")): "continue key is not valid",
		"limit=2&resourceVersion=5&continue=" + first.Continue:                  "specifying resource version is not allowed when using continue",
		"limit=2&resourceVersionMatch=Exact&continue=" + first.Continue:         "resourceVersionMatch is forbidden when continue is provided",
		"labelSelector=a%3D%3D%3D":                                              "unable to parse requirement",
		"fieldSelector=spec.x%3Dy":                                              `field label not supported: spec.x`,
	} {
		a := w.get(maps + "?" + query)
		if a.code != http.StatusBadRequest && a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, want) && !strings.Contains(a.body, strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("%s: %d %s, want %s", query, a.code, a.body, want)
		}
	}
}

func TestContinueAfterCompaction(t *testing.T) {
	w := start(t)
	for _, n := range []string{"a", "b", "c"} {
		w.makeMap(n)
	}
	first := into[corev1.ConfigMapList](t, w.get(maps+"?limit=1"))
	// The watch cache still has it, etcd has not; only etcd answers here.
	events := "/api/v1/namespaces/default/events"
	for _, n := range []string{"a", "b", "c"} {
		w.must(http.MethodPost, events, `{"metadata":{"name":"`+n+`","namespace":"default"},"involvedObject":{"kind":"Pod","name":"p","namespace":"default"},"reason":"R"}`)
	}
	page := into[corev1.EventList](t, w.get(events+"?limit=1"))
	w.must(http.MethodDelete, maps+"/a", "")
	if _, err := w.Store.Client.Compact(t.Context(), w.revision(), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	a := w.get(events + "?limit=1&continue=" + page.Continue)
	gone := a.status(t, http.StatusGone, "Expired", "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.")
	if gone.Continue == "" {
		t.Fatal("no token to go on with")
	}
	rest := into[corev1.EventList](t, w.get(events+"?continue="+gone.Continue))
	if len(rest.Items) != 2 || rest.Items[0].Name != "b" {
		t.Errorf("the remainder: %+v", rest.Items)
	}
	w.get(events+"?resourceVersion="+page.ResourceVersion+"&resourceVersionMatch=Exact").
		status(t, http.StatusGone, "Expired", "The resourceVersion for the provided list is too old.")
	if b := w.get(maps + "?limit=1&continue=" + first.Continue); b.code != http.StatusOK && b.code != http.StatusGone {
		t.Errorf("%d %s", b.code, b.body)
	}
}

func TestResourceVersions(t *testing.T) {
	w := start(t)
	w.makeMap("a")
	before := into[corev1.ConfigMapList](t, w.get(maps))
	w.makeMap("b")
	for query, want := range map[string]string{
		"":                   "a b",
		"?resourceVersion=":  "a b",
		"?resourceVersion=0": "a b",
		"?resourceVersion=0&resourceVersionMatch=NotOlderThan":                               "a b",
		"?resourceVersion=" + before.ResourceVersion:                                         "a b",
		"?resourceVersion=" + before.ResourceVersion + "&resourceVersionMatch=NotOlderThan":  "a b",
		"?resourceVersion=" + before.ResourceVersion + "&resourceVersionMatch=Exact":         "a",
		"?resourceVersion=" + before.ResourceVersion + "&resourceVersionMatch=Exact&limit=1": "a",
		"?limit=1&resourceVersion=" + before.ResourceVersion:                                 "a",
	} {
		// What was just written by others must be in a cache that may be late.
		if got := names(into[corev1.ConfigMapList](t, w.get(maps+query))); got != want && !strings.HasPrefix(query, "?resourceVersion=0") {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if exact := into[corev1.ConfigMapList](t, w.get(maps+"?resourceVersionMatch=Exact&resourceVersion="+before.ResourceVersion)); exact.ResourceVersion != before.ResourceVersion {
		t.Errorf("exactly %s is %s", before.ResourceVersion, exact.ResourceVersion)
	}
	const options = `ListOptions.meta.k8s.io "" is invalid: `
	for query, want := range map[string]string{
		"resourceVersionMatch=Exact":                                   options + "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
		"resourceVersionMatch=Exact&resourceVersion=0":                 options + `resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"`,
		"resourceVersionMatch=Newer&resourceVersion=1":                 options + `resourceVersionMatch: Unsupported value: "Newer": supported values: "Exact", "NotOlderThan"`,
		"watch=true&resourceVersionMatch=NotOlderThan":                 options + "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
		"watch=true&sendInitialEvents=true":                            options + "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
		"watch=true&sendInitialEvents=true&resourceVersionMatch=Exact": options + `[resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan, resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"]`,
		"sendInitialEvents=true":                                       options + "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
	} {
		w.get(maps+"?"+query).status(t, http.StatusUnprocessableEntity, "Invalid", want)
	}
	w.get(maps+"?resourceVersion=x").status(t, http.StatusBadRequest, "BadRequest", `invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax`)
	future := fmt.Sprint(w.revision() + 1000)
	late := w.get(maps + "?resourceVersionMatch=NotOlderThan&resourceVersion=" + future)
	s := late.status(t, http.StatusGatewayTimeout, "Timeout", "Too large resource version: "+future+", current: ")
	if s.Details == nil || s.Details.RetryAfterSeconds != 1 || len(s.Details.Causes) != 1 || s.Details.Causes[0].Type != "ResourceVersionTooLarge" {
		t.Errorf("details are %+v", s.Details)
	}
	w.get(maps+"/a?resourceVersion="+future).status(t, http.StatusGatewayTimeout, "Timeout", "Too large resource version: "+future)
	if a := w.get(maps + "/b?resourceVersion=0"); a.code != http.StatusOK && a.code != http.StatusNotFound {
		t.Errorf("%d %s", a.code, a.body)
	}
}

// A list right after a write has it, again and again.
func TestReadsAreConsistent(t *testing.T) {
	w := start(t)
	for i := range 50 {
		w.makeMap(fmt.Sprintf("m%02d", i))
		if got := len(into[corev1.ConfigMapList](t, w.get(maps)).Items); got != i+1 {
			t.Fatalf("%d maps were made, %d are listed", i+1, got)
		}
	}
}
