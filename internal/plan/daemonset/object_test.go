package daemonset

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
)

func TestNewPod(t *testing.T) {
	set := newToy().Set
	template := &set.Spec.Template
	template.Labels = map[string]string{"app": "log"}
	template.Spec = corev1.PodSpec{
		HostNetwork: true,
		Tolerations: []corev1.Toleration{
			{Key: "own", Operator: corev1.TolerationOpExists},
			{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To(int64(5))},
		},
		Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpExists}},
			}}},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1}},
		}},
	}
	whole := template.DeepCopy()
	ref := metav1.OwnerReference{Kind: "DaemonSet", Name: "log", UID: "u"}
	exists := func(key string, effect corev1.TaintEffect) corev1.Toleration {
		return corev1.Toleration{Key: "node.kubernetes.io/" + key, Operator: corev1.TolerationOpExists, Effect: effect}
	}
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "log-", Namespace: "ns", OwnerReferences: []metav1.OwnerReference{ref},
			Labels: map[string]string{"app": "log", "controller-revision-hash": "abc", "pod-template-generation": "3"},
		},
		Spec: corev1.PodSpec{
			HostNetwork: true,
			Tolerations: []corev1.Toleration{
				{Key: "own", Operator: corev1.TolerationOpExists},
				exists("not-ready", corev1.TaintEffectNoExecute), exists("unreachable", corev1.TaintEffectNoExecute),
				exists("disk-pressure", corev1.TaintEffectNoSchedule), exists("memory-pressure", corev1.TaintEffectNoSchedule),
				exists("pid-pressure", corev1.TaintEffectNoSchedule), exists("unschedulable", corev1.TaintEffectNoSchedule),
				exists("network-unavailable", corev1.TaintEffectNoSchedule),
			},
			Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n1"}}},
				}}},
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1}},
			}},
		},
	}
	pod := NewPod(set, "n1", "abc", ref)
	if diff := cmp.Diff(want, pod); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if NodeOf(pod) != "n1" {
		t.Errorf("it is of node %q", NodeOf(pod))
	}
	if diff := cmp.Diff(whole, template); diff != "" {
		t.Errorf("the template has changed:\n%s", diff)
	}
	delete(set.Annotations, appsv1.DeprecatedTemplateGeneration)
	if _, has := NewPod(set, "n1", "abc", ref).Labels["pod-template-generation"]; has {
		t.Error("a number of a template that has none")
	}
}

func TestPlacementSame(t *testing.T) {
	set := newToy().Set
	set.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	node := func(disk string, effect corev1.TaintEffect) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"disk": disk}}}
		if effect != "" {
			n.Spec.Taints = []corev1.Taint{{Key: "own", Effect: effect}}
		}
		return n
	}
	for name, c := range map[string]struct {
		a, b *corev1.Node
		want bool
	}{
		"new and wanted":     {nil, node("ssd", ""), false},
		"new and not wanted": {nil, node("hdd", ""), true},
		"gone":               {node("ssd", ""), nil, false},
		"another label":      {node("ssd", ""), node("hdd", ""), false},
		"barred":             {node("ssd", ""), node("ssd", corev1.TaintEffectNoSchedule), false},
		"driven out":         {node("ssd", corev1.TaintEffectNoSchedule), node("ssd", corev1.TaintEffectNoExecute), false},
		"rather not":         {node("ssd", ""), node("ssd", corev1.TaintEffectPreferNoSchedule), true},
		"barred, but unlike": {node("hdd", ""), node("hdd", corev1.TaintEffectNoSchedule), true},
	} {
		if got := PlacementOf(set).Same(c.a, c.b); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func templated(image string) *appsv1.DaemonSet {
	set := newToy().Set
	set.Spec.Template.Labels = map[string]string{"app": "log"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: image}}
	return set
}

func TestRevise(t *testing.T) {
	set := templated("one")
	ref := metav1.OwnerReference{Kind: "DaemonSet", Name: "log", UID: "u"}
	first, err := Revise(set, ref, nil, nil, nil)
	if err != nil || first.Verb != revision.Create {
		t.Fatalf("%+v, %v", first, err)
	}
	hash := revision.TemplateHash(&set.Spec.Template, nil)
	want := metav1.ObjectMeta{
		Name: "log-" + hash, Namespace: "ns", OwnerReferences: []metav1.OwnerReference{ref}, Annotations: set.Annotations,
		Labels: map[string]string{"app": "log", "controller-revision-hash": hash},
	}
	if diff := cmp.Diff(want, first.Update.ObjectMeta); diff != "" || first.Update.Revision != 1 {
		t.Errorf("revision %d, -want +got:\n%s", first.Update.Revision, diff)
	}
	var data map[string]any
	if err := json.Unmarshal(first.Update.Data.Raw, &data); err != nil || data["spec"].(map[string]any)["template"].(map[string]any)["$patch"] != "replace" {
		t.Errorf("data %s", first.Update.Data.Raw)
	}

	// A hash that is taken makes another name.
	set.Status.CollisionCount = ptr.To(int32(1))
	other, err := Revise(set, ref, nil, nil, nil)
	if err != nil || other.Update.Name == first.Update.Name || other.Update.Labels[HashLabel] == hash {
		t.Errorf("after a collision %s, %v", other.Update.Name, err)
	}

	// Going back takes the old revision, with a new number.
	second, err := Revise(templated("two"), ref, []*appsv1.ControllerRevision{first.Update}, nil, nil)
	if err != nil || second.Verb != revision.Create || second.Update.Revision != 2 {
		t.Fatalf("%+v, %v", second, err)
	}
	back, err := Revise(templated("one"), ref, []*appsv1.ControllerRevision{first.Update, second.Update}, nil, nil)
	if err != nil || back.Verb != revision.Renumber || back.Update != first.Update || back.Number != 3 {
		t.Errorf("%+v, %v", back, err)
	}

	// One that was taken in has the number of ours: ours is the newer one.
	taken := second.Update.DeepCopy()
	taken.Revision = 1
	next, err := Revise(templated("one"), ref, []*appsv1.ControllerRevision{taken, first.Update}, nil, nil)
	if err != nil || next.Verb != revision.Renumber || next.Update != first.Update || next.Number != 2 {
		t.Errorf("%+v, %v", next, err)
	}

	// Two of the same meaning become one, and pods of the one are pods of the other.
	twin := first.Update.DeepCopy()
	twin.Name, twin.Revision = "log-twin", 3
	twin.Labels[HashLabel] = "twin"
	pods := []*corev1.Pod{newToy().pod("of-the-first", "a"), newToy().pod("of-the-second", "b"), newToy().pod("of-the-twin", "c")}
	for i, h := range []string{hash, second.Update.Labels[HashLabel], "twin"} {
		pods[i].Labels[HashLabel] = h
	}
	merged, err := Revise(templated("one"), ref, []*appsv1.ControllerRevision{first.Update, second.Update, twin}, pods, nil)
	if err != nil || merged.Verb != revision.Keep || merged.Update != twin || len(merged.Duplicates) != 1 || merged.Duplicates[0] != first.Update ||
		len(merged.Relabel) != 1 || merged.Relabel[0] != pods[0] {
		t.Errorf("%+v, %v", merged, err)
	}
}

func TestExcess(t *testing.T) {
	set := newToy().Set
	var all []*appsv1.ControllerRevision
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		all = append(all, &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{HashLabel: name}}})
	}
	pod := newToy().pod("p", "n")
	pod.Labels[HashLabel] = "b"
	for name, c := range map[string]struct {
		limit *int32
		want  string
	}{
		"default": {nil, ""},
		"enough":  {ptr.To(int32(4)), ""},
		"some":    {ptr.To(int32(2)), "ac"},
		"none":    {ptr.To(int32(0)), "acd"},
	} {
		set.Spec.RevisionHistoryLimit = c.limit
		got := ""
		for _, rev := range Excess(set, all, "e", []*corev1.Pod{pod}) {
			got += rev.Name
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
