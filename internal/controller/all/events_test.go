package all_test

import (
	"fmt"
	"maps"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/controller/all/alltest"
)

// TestEventsOfAThousandPods counts what is said of a set of a thousand pods:
// that each was made, once.
func TestEventsOfAThousandPods(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	const pods = 1000
	c := alltest.Start(t, alltest.Options{Without: []string{"scheduler", "ipam"}})
	ctx := t.Context()
	within(t, "the service account", func() bool {
		_, err := c.Client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	_, err := c.Client.AppsV1().StatefulSets("default").Create(ctx, bareSet("parallel", pods), metav1.CreateOptions{})
	must(t, err)
	want := map[string]int{}
	for i := range pods {
		want[fmt.Sprintf("Normal SuccessfulCreate: Create Pod parallel-%d in StatefulSet parallel successful", i)] = 1
	}
	within(t, "the status", func() bool {
		set, err := c.Client.AppsV1().StatefulSets("default").Get(ctx, "parallel", metav1.GetOptions{})
		return err == nil && set.Status.Replicas == pods
	})
	var got map[string]int
	within(t, "an event for each pod", func() bool {
		got = said(t, c, "parallel")
		return len(got) >= pods
	})
	if !maps.Equal(got, want) {
		for text, times := range got {
			if want[text] != times {
				t.Errorf("%d times %s", times, text)
			}
		}
	}
}

// said is how often each event of a set has happened.
func said(t *testing.T, c *alltest.Cluster, set string) map[string]int {
	t.Helper()
	events, err := c.Client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{
		FieldSelector: "involvedObject.kind=StatefulSet,involvedObject.name=" + set,
	})
	must(t, err)
	out := map[string]int{}
	for i := range events.Items {
		e := &events.Items[i]
		out[fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Message)] += int(e.Count)
	}
	return out
}
