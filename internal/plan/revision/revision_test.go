package revision

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
)

// The same template as releases 1.33 and 1.34 wrote it, with the hashes they gave it.
const (
	data133 = `{"spec":{"template":{"$patch":"replace","metadata":{"annotations":{"test":"value"},"creationTimestamp":null,"labels":{"app":"foo"}},"spec":{"containers":[{"image":"test","imagePullPolicy":"Always","name":"test","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}}`
	hash133 = "c77f6d978"
	hash134 = "776999688b"
)

var data134 = strings.Replace(data133, `"creationTimestamp":null,`, "", 1)

func template() *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"test": "value"}, Labels: map[string]string{"app": "foo"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "test", Image: "test", ImagePullPolicy: corev1.PullAlways,
				TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			}},
			DNSPolicy: corev1.DNSClusterFirst, RestartPolicy: corev1.RestartPolicyAlways, SchedulerName: "default-scheduler",
			SecurityContext: &corev1.PodSecurityContext{}, TerminationGracePeriodSeconds: ptr.To(int64(30)),
		},
	}
}

func TestHashIsUpstreams(t *testing.T) {
	for _, c := range []struct{ data, want string }{{data133, hash133}, {data134, hash134}} {
		if got := Hash([]byte(c.data), 0); got != c.want {
			t.Errorf("Hash = %q, want %q", got, c.want)
		}
	}
}

func TestEncodeIsUpstreams(t *testing.T) {
	got, err := Encode(template())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(data134, string(got)); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

func TestTemplateReturnsWhatWasEncoded(t *testing.T) {
	got, err := Template(rev("a", 1, data134))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(template(), got); diff != "" {
		t.Errorf("template (-want +got):\n%s", diff)
	}
}

func TestNew(t *testing.T) {
	owner := &metav1.ObjectMeta{Name: "test", Namespace: "ns", Annotations: map[string]string{"kubernetes.io/change-cause": "x"}}
	ref := metav1.OwnerReference{Kind: "StatefulSet", Name: "test", UID: "u"}
	got, err := New(owner, ref, template(), 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name: "test-" + hash134, Namespace: "ns",
			Labels:          map[string]string{"app": "foo", HashLabel: hash134},
			Annotations:     map[string]string{"kubernetes.io/change-cause": "x"},
			OwnerReferences: []metav1.OwnerReference{ref},
		},
		Data: runtime.RawExtension{Raw: []byte(data134)}, Revision: 3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("revision (-want +got):\n%s", diff)
	}
	Rename(got, "test", 1)
	if got.Name != "test-"+Hash([]byte(data134), 1) || got.Labels[HashLabel] != hash134 {
		t.Errorf("after a collision the name is %q with hash %q; the label keeps the first hash", got.Name, got.Labels[HashLabel])
	}
}

func rev(name string, number int64, data string) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Revision: number, Data: runtime.RawExtension{Raw: []byte(data)},
	}
}

func TestDecide(t *testing.T) {
	other := strings.Replace(data134, `"image":"test"`, `"image":"other"`, 1)
	for _, c := range []struct {
		name     string
		existing []*appsv1.ControllerRevision
		verb     Verb
		update   string
		number   int64
	}{
		{"first", nil, Create, "want", 1},
		{"unchanged", []*appsv1.ControllerRevision{rev("a", 1, other), rev("b", 2, data134)}, Keep, "b", 0},
		{"changed", []*appsv1.ControllerRevision{rev("a", 4, other)}, Create, "want", 5},
		{"rolled back", []*appsv1.ControllerRevision{rev("a", 1, data134), rev("b", 2, other)}, Renumber, "a", 3},
		{"written by 1.33", []*appsv1.ControllerRevision{rev("a", 1, data133)}, Keep, "a", 0},
		{"older one written by 1.33", []*appsv1.ControllerRevision{rev("a", 1, data133), rev("b", 2, other)}, Create, "want", 3},
		{"newest is damaged", []*appsv1.ControllerRevision{rev("a", 1, `{"spec":{"template":[]}}`)}, Create, "want", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Decide(rev("want", 0, data134), c.existing, nil)
			if got.Verb != c.verb || got.Update.Name != c.update {
				t.Fatalf("got verb %d on %s, want %d on %s", got.Verb, got.Update.Name, c.verb, c.update)
			}
			if c.verb == Renumber && got.Number != c.number || c.verb == Create && got.Update.Revision != c.number {
				t.Errorf("got number %d and revision %d, want %d", got.Number, got.Update.Revision, c.number)
			}
		})
	}
}

func TestDecideComparesWithDefaults(t *testing.T) {
	old := strings.Replace(data134, `"dnsPolicy":"ClusterFirst",`, "", 1)
	defaults := func(t *corev1.PodTemplateSpec) {
		if t.Spec.DNSPolicy == "" {
			t.Spec.DNSPolicy = corev1.DNSClusterFirst
		}
	}
	if got := Decide(rev("want", 0, data134), []*appsv1.ControllerRevision{rev("a", 1, old)}, defaults); got.Verb != Keep {
		t.Errorf("a field defaulted since then started a rollout: verb %d", got.Verb)
	}
}

func TestExcess(t *testing.T) {
	all := []*appsv1.ControllerRevision{rev("a", 1, "{}"), rev("b", 2, "{}"), rev("c", 3, "{}"), rev("d", 4, "{}")}
	names := func(revs []*appsv1.ControllerRevision) string {
		var n []string
		for _, r := range revs {
			n = append(n, r.Name)
		}
		return strings.Join(n, " ")
	}
	for _, c := range []struct {
		used  string
		limit int32
		want  string
	}{{"d", 1, "a b"}, {"a d", 0, "b c"}, {"d", 3, ""}, {"d", -1, ""}, {"a b c d", 0, ""}} {
		if got := names(Excess(all, sets.New(strings.Fields(c.used)...), c.limit)); got != c.want {
			t.Errorf("used %s, limit %d: delete %q, want %q", c.used, c.limit, got, c.want)
		}
	}
}

func TestSort(t *testing.T) {
	a, b, c := rev("z", 1, "{}"), rev("b", 2, "{}"), rev("a", 2, "{}")
	got := []*appsv1.ControllerRevision{b, c, a}
	Sort(got)
	if got[0] != a || got[1] != c || got[2] != b {
		t.Errorf("order is %s %s %s", got[0].Name, got[1].Name, got[2].Name)
	}
}
