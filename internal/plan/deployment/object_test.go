package deployment

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/plan/revision"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func web(image string) *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "ns", UID: "u", Generation: 1, Annotations: map[string]string{
			"team": "a", corev1.LastAppliedConfigAnnotation: "{}", RevisionAnnotation: "7",
		}},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(int32(4)), Selector: &metav1.LabelSelector{MatchLabels: labels}, MinReadySeconds: 3,
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: ptr.To(intstr.FromString("25%")), MaxUnavailable: ptr.To(intstr.FromString("25%")),
			}},
			ProgressDeadlineSeconds: ptr.To(int32(60)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}},
			},
		},
	}
}

// owned makes a set of the Deployment as the loop would.
func owned(d *appsv1.Deployment, replicas int, sets ...*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	rs := NewSet(Facts{Deployment: d, Sets: sets, Now: now}, *metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment")), replicas)
	rs.Generation = 1
	rs.CreationTimestamp = metav1.NewTime(now.Add(time.Duration(len(sets)) * time.Second))
	return rs
}

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		replicas           int32
		surge, unavailable intstr.IntOrString
		wantSurge, wantUn  int
	}{
		{10, intstr.FromString("25%"), intstr.FromString("25%"), 3, 2},
		{3, intstr.FromString("25%"), intstr.FromString("25%"), 1, 0},
		{1, intstr.FromString("0%"), intstr.FromString("25%"), 0, 1}, // both come to nothing: one may be away
		{0, intstr.FromString("25%"), intstr.FromString("25%"), 0, 0},
		{5, intstr.FromInt32(0), intstr.FromInt32(9), 0, 5},
		{5, intstr.FromString("300%"), intstr.FromString("100%"), 15, 5},
		{5, intstr.FromString("nonsense"), intstr.FromInt32(-1), 0, 1},
		{math.MaxInt32, intstr.FromInt32(1), intstr.FromInt32(1), 1, 1},
	} {
		d := web("a")
		d.Spec.Replicas = &c.replicas
		d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: &c.surge, MaxUnavailable: &c.unavailable}
		if surge, unavailable := bounds(d); surge != c.wantSurge || unavailable != c.wantUn {
			t.Errorf("%d replicas, %s, %s: surge %d, unavailable %d", c.replicas, c.surge.String(), c.unavailable.String(), surge, unavailable)
		}
	}
}

func TestNewSet(t *testing.T) {
	d := web("a")
	first := owned(d, 4)
	hash := revision.TemplateHash(&d.Spec.Template, nil)
	labels := map[string]string{"app": "web", HashLabel: hash}
	want := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-" + hash, Namespace: "ns", Labels: labels, Generation: 1, CreationTimestamp: metav1.NewTime(now),
			Annotations: map[string]string{"team": "a", RevisionAnnotation: "1", desiredAnnotation: "4", maxAnnotation: "5"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "u", Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
			}},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To(int32(4)), MinReadySeconds: 3, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: d.Spec.Template.Spec},
		},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if d.Spec.Template.Labels[HashLabel] != "" || d.Spec.Selector.MatchLabels[HashLabel] != "" {
		t.Error("the Deployment's own maps were changed")
	}
	d.Status.CollisionCount = ptr.To(int32(1))
	if again := owned(d, 4); again.Name == first.Name {
		t.Error("after a collision the name is the same")
	}
	d.Name = strings.Repeat("n", 253)
	if name := owned(d, 4).Name; len(name) != 253 {
		t.Errorf("a name of 253 characters gives one of %d", len(name))
	}
}

// An old set that becomes the new one again gets the next revision, and what it
// was goes to its history.
func TestRevisionsGoOn(t *testing.T) {
	a, b := web("a"), web("b")
	one := owned(a, 0)
	two := owned(b, 4, one)
	if two.Annotations[RevisionAnnotation] != "2" {
		t.Fatalf("annotations %v", two.Annotations)
	}
	for i, d := range []*appsv1.Deployment{a, b, a} {
		f := Facts{Deployment: d, Sets: []*appsv1.ReplicaSet{one, two}, Now: now}
		if !Observe(f).Sets[i%2].Stale {
			t.Fatalf("round %d: the set is not stale", i)
		}
		rs := Refreshed(f, f.newSet())
		if i%2 == 0 {
			one = rs
		} else {
			two = rs
		}
		f = f.With(rs)
		if Observe(f).Sets[i%2].Stale || f.Revision() != fmt.Sprint(i+3) {
			t.Errorf("round %d: revision %s, annotations %v", i, f.Revision(), rs.Annotations)
		}
	}
	if got := one.Annotations[historyAnnotation]; got != "1,3" {
		t.Errorf("history %q", got)
	}
	long := strings.TrimSuffix(strings.Repeat("1000000,", 250), ",")
	if got := joinHistory(long, "2000000"); len(got) > 2000 || !strings.HasSuffix(got, ",2000000") || !strings.HasPrefix(got, "1000000,") {
		t.Errorf("a history of %d characters: %.20s…", len(got), got)
	}
	one.Annotations[RevisionAnnotation] = "mine"
	if f := (Facts{Deployment: a, Sets: []*appsv1.ReplicaSet{one, two}}); Observe(f).Sets[0].Stale {
		t.Error("a revision that is no number is not left alone")
	}
}

func TestRolledBack(t *testing.T) {
	a, b := web("a"), web("b")
	one := owned(a, 0)
	one.Annotations["team"] = "old"
	two := owned(b, 4, one)
	for _, c := range []struct{ to, reason, message, image string }{
		{"1", "DeploymentRollback", `Rolled back deployment "web" to revision 1`, "a"},
		{"0", "DeploymentRollback", `Rolled back deployment "web" to revision 1`, "a"},
		{"2", "DeploymentRollbackTemplateUnchanged", `The rollback revision contains the same template as current deployment "web"`, "b"},
		{"9", "DeploymentRollbackRevisionNotFound", "Unable to find the revision to rollback to.", "b"},
	} {
		b.Annotations[appsv1.DeprecatedRollbackTo] = c.to
		next, warning, reason, message := RolledBack(Facts{Deployment: b, Sets: []*appsv1.ReplicaSet{one, two}})
		if reason != c.reason || message != c.message || warning == (c.image == "a") || next.Spec.Template.Spec.Containers[0].Image != c.image {
			t.Errorf("to %s: %s %s, image %s", c.to, reason, message, next.Spec.Template.Spec.Containers[0].Image)
		}
		if _, left := next.Annotations[appsv1.DeprecatedRollbackTo]; left || next.Spec.Template.Labels[HashLabel] != "" {
			t.Errorf("to %s: annotations %v, labels %v", c.to, next.Annotations, next.Spec.Template.Labels)
		}
		if c.image == "a" && (next.Annotations["team"] != "old" || next.Annotations[corev1.LastAppliedConfigAnnotation] != "{}") {
			t.Errorf("to %s: annotations %v", c.to, next.Annotations)
		}
	}
	if _, _, reason, message := RolledBack(Facts{Deployment: func() *appsv1.Deployment {
		b.Annotations[appsv1.DeprecatedRollbackTo] = "0"
		return b
	}(), Sets: []*appsv1.ReplicaSet{one}}); reason != "DeploymentRollbackRevisionNotFound" || message != "Unable to find last revision." {
		t.Errorf("%s %s", reason, message)
	}
}
