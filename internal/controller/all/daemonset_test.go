package all_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
)

// daemons is a DaemonSet of the real API server, and what a test asks of it.
type daemons struct {
	*live
	set *appsv1.DaemonSet
}

func (l *live) daemons(image string) *daemons {
	l.t.Helper()
	pod := template("log")
	pod.Spec.Containers[0].Image = image
	set, err := l.Client.AppsV1().DaemonSets("default").Create(l.t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "log"},
		Spec:       appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: pod.Labels}, Template: pod},
	}, metav1.CreateOptions{})
	must(l.t, err)
	return &daemons{l, set}
}

func (d *daemons) patch(kind types.PatchType, format string, args ...any) {
	d.t.Helper()
	_, err := d.Client.AppsV1().DaemonSets("default").Patch(d.t.Context(), "log", kind, fmt.Appendf(nil, format, args...), metav1.PatchOptions{})
	must(d.t, err)
}

// complete waits until each of so many nodes has a ready pod of the newest template.
func (d *daemons) complete(n int32) {
	d.t.Helper()
	d.until(fmt.Sprintf("%d daemons", n), func() bool {
		now, err := d.Client.AppsV1().DaemonSets("default").Get(d.t.Context(), "log", metav1.GetOptions{})
		must(d.t, err)
		return equality.Semantic.DeepEqual(now.Status, appsv1.DaemonSetStatus{
			DesiredNumberScheduled: n, CurrentNumberScheduled: n, NumberReady: n, UpdatedNumberScheduled: n, NumberAvailable: n,
			ObservedGeneration: now.Generation, CollisionCount: now.Status.CollisionCount,
		})
	})
}

// nodes are where its pods are, one name a pod, and the images that they run.
func (d *daemons) nodes() (nodes, images []string) {
	d.t.Helper()
	for _, pod := range d.podsOf(d.set) {
		nodes, images = append(nodes, pod.Spec.NodeName), append(images, pod.Spec.Containers[0].Image)
	}
	slices.Sort(nodes)
	slices.Sort(images)
	return nodes, slices.Compact(images)
}

// revisions are the images of the set's revisions by number.
func (d *daemons) revisions() map[int64]string {
	d.t.Helper()
	list, err := d.Client.AppsV1().ControllerRevisions("default").List(d.t.Context(), metav1.ListOptions{LabelSelector: "app=log"})
	must(d.t, err)
	all := map[int64]string{}
	for i := range list.Items {
		pod, err := revision.Template(&list.Items[i])
		must(d.t, err)
		all[list.Items[i].Revision] = pod.Spec.Containers[0].Image
	}
	return all
}

func (d *daemons) taint(node string, effect corev1.TaintEffect) {
	d.t.Helper()
	taints := fmt.Sprintf(`[{"key":"own","effect":%q}]`, effect)
	if effect == "" {
		taints = "null"
	}
	_, err := d.Client.CoreV1().Nodes().Patch(d.t.Context(), node, types.MergePatchType, []byte(`{"spec":{"taints":`+taints+`}}`), metav1.PatchOptions{})
	must(d.t, err)
}

func TestDaemonSetLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	l.serviceAccount()
	l.node("n2")
	d := l.daemons("log:1")
	d.complete(2)
	pod := l.podsOf(d.set)[0]
	hash := revision.TemplateHash(&d.set.Spec.Template, nil)
	if want := map[string]string{"app": "log", "controller-revision-hash": hash, "pod-template-generation": "1"}; !maps.Equal(pod.Labels, want) {
		t.Errorf("labels %v", pod.Labels)
	}
	fields := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields
	if len(fields) != 1 || fields[0].Values[0] != pod.Spec.NodeName {
		t.Errorf("pinned by %v to %s", fields, pod.Spec.NodeName)
	}
	l.until("two events", func() bool {
		said := l.said("DaemonSet", "log")
		return len(said) == 2 && strings.HasPrefix(said[0], "daemonset-controller Normal SuccessfulCreate: Created pod: log-")
	})

	// Nodes come, bar new pods, and drive out those that they have.
	l.node("n3")
	d.complete(3)
	d.taint("n3", corev1.TaintEffectNoSchedule)
	l.until("a pod that is not wanted where it is", func() bool {
		now, err := l.Client.AppsV1().DaemonSets("default").Get(ctx, "log", metav1.GetOptions{})
		must(t, err)
		nodes, _ := d.nodes()
		return now.Status.NumberMisscheduled == 1 && now.Status.DesiredNumberScheduled == 2 && len(nodes) == 3
	})
	d.taint("n3", corev1.TaintEffectNoExecute)
	l.until("it to go", func() bool { nodes, _ := d.nodes(); return slices.Equal(nodes, []string{"n1", "n2"}) })
	d.taint("n3", "")
	// The one that goes may count until it is gone.
	l.until("one to come again", func() bool { nodes, _ := d.nodes(); return slices.Equal(nodes, []string{"n1", "n2", "n3"}) })
	d.complete(3)

	// A pod that fails is replaced, and that is said.
	pods := l.podsOf(d.set)
	failed := pods[slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == "n1" })]
	_, err := l.Client.CoreV1().Pods("default").Patch(ctx, failed.Name, types.MergePatchType, []byte(`{"status":{"phase":"Failed"}}`), metav1.PatchOptions{}, "status")
	must(t, err)
	l.until("its end", func() bool {
		return slices.Contains(l.said("DaemonSet", "log"), fmt.Sprintf(
			"daemonset-controller Warning FailedDaemonPod: Found failed daemon pod default/%s on node %s, will try to kill it", failed.Name, failed.Spec.NodeName))
	})
	l.until("another in its place", func() bool {
		nodes, _ := d.nodes()
		return slices.Equal(nodes, []string{"n1", "n2", "n3"}) && !slices.ContainsFunc(l.podsOf(d.set), func(p corev1.Pod) bool {
			return p.UID == failed.UID || p.Status.Phase != corev1.PodRunning
		})
	})
	d.complete(3)

	// Pods without a set are taken in by the next one, and their revision too.
	must(t, l.Client.AppsV1().DaemonSets("default").Delete(ctx, "log", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}))
	l.until("orphans", func() bool {
		_, err := l.Client.AppsV1().DaemonSets("default").Get(ctx, "log", metav1.GetOptions{})
		return err != nil
	})
	before, err := l.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	must(t, err)
	d = l.daemons("log:1")
	d.complete(3)
	for _, p := range before.Items {
		ends := p.DeletionTimestamp != nil || p.UID == failed.UID // the failed one may not be gone yet
		if !ends && !slices.ContainsFunc(l.podsOf(d.set), func(q corev1.Pod) bool { return q.UID == p.UID }) {
			t.Errorf("%s was not taken in", p.Name)
		}
	}
	if diff := cmp.Diff(map[int64]string{1: "log:1"}, d.revisions()); diff != "" {
		t.Error(diff)
	}
	must(t, l.Client.AppsV1().DaemonSets("default").Delete(ctx, "log", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}))
	l.until("set, pods and revisions to go", func() bool {
		_, err := l.Client.AppsV1().DaemonSets("default").Get(ctx, "log", metav1.GetOptions{})
		return err != nil && len(l.podsOf(d.set)) == 0 && len(d.revisions()) == 0
	})
}

func TestDaemonSetRollsLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	l.serviceAccount()
	l.node("n2")

	// The name that the revision would have is taken by something else.
	pod := template("log")
	pod.Spec.Containers[0].Image = "log:1"
	probe, err := l.Client.AppsV1().DaemonSets("default").Create(ctx, &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "log"},
		Spec:       appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: pod.Labels}, Template: pod},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	must(t, err)
	_, err = l.Client.AppsV1().ControllerRevisions("default").Create(ctx, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: "log-" + revision.TemplateHash(&probe.Spec.Template, nil)},
		Data:       runtime.RawExtension{Raw: []byte(`{"spec":{}}`)}, Revision: 7,
	}, metav1.CreateOptions{})
	must(t, err)
	d := l.daemons("log:1")
	d.complete(2)
	now, err := l.Client.AppsV1().DaemonSets("default").Get(ctx, "log", metav1.GetOptions{})
	must(t, err)
	if ptr.Deref(now.Status.CollisionCount, 0) != 1 {
		t.Errorf("collision count %v", now.Status.CollisionCount)
	}
	image := func(name string) string {
		return fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":%q}]}}}}`, name)
	}
	ran := func(when string, images ...string) {
		t.Helper()
		if _, got := d.nodes(); !slices.Equal(got, images) {
			t.Errorf("%s: %v", when, got)
		}
	}

	// From node to node, back by what the revision says, and with a surge.
	d.patch(types.StrategicMergePatchType, "%s", image("log:2"))
	d.complete(2)
	ran("after a rollout", "log:2")
	if diff := cmp.Diff(map[int64]string{1: "log:1", 2: "log:2"}, d.revisions()); diff != "" {
		t.Error(diff)
	}
	list, err := l.Client.AppsV1().ControllerRevisions("default").List(ctx, metav1.ListOptions{LabelSelector: "app=log"})
	must(t, err)
	for i := range list.Items {
		if list.Items[i].Revision == 1 {
			d.patch(types.StrategicMergePatchType, "%s", list.Items[i].Data.Raw)
		}
	}
	d.complete(2)
	ran("after an undo", "log:1")
	if diff := cmp.Diff(map[int64]string{2: "log:2", 3: "log:1"}, d.revisions()); diff != "" {
		t.Error(diff)
	}
	d.patch(types.MergePatchType, `{"spec":{"updateStrategy":{"rollingUpdate":{"maxSurge":"50%%","maxUnavailable":0}},"revisionHistoryLimit":1}}`)
	d.patch(types.StrategicMergePatchType, "%s", image("log:4"))
	d.complete(2)
	ran("after a surge", "log:4")
	l.until("the history to be cut", func() bool {
		return maps.Equal(d.revisions(), map[int64]string{3: "log:1", 4: "log:4"})
	})

	// The user decides when.
	d.patch(types.MergePatchType, `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`)
	d.patch(types.StrategicMergePatchType, "%s", image("log:5"))
	l.until("the new template to be seen", func() bool {
		now, err := l.Client.AppsV1().DaemonSets("default").Get(ctx, "log", metav1.GetOptions{})
		must(t, err)
		return now.Status.ObservedGeneration == now.Generation && now.Status.UpdatedNumberScheduled == 0 && now.Status.NumberAvailable == 2
	})
	must(t, l.Client.CoreV1().Pods("default").Delete(ctx, l.podsOf(d.set)[0].Name, metav1.DeleteOptions{}))
	l.until("one of each", func() bool {
		now, err := l.Client.AppsV1().DaemonSets("default").Get(ctx, "log", metav1.GetOptions{})
		must(t, err)
		_, images := d.nodes()
		return now.Status.UpdatedNumberScheduled == 1 && now.Status.NumberAvailable == 2 && slices.Equal(images, []string{"log:4", "log:5"})
	})
}
