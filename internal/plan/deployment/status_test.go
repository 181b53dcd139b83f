package deployment

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// diary publishes one status after another.
type diary struct {
	t *testing.T
	f Facts
}

// next publishes a status and returns what it says: counts, conditions, and when to look again.
func (y *diary) next(after time.Duration, p Plan, o Outcome) string {
	y.t.Helper()
	y.f.Now = y.f.Now.Add(after)
	status, again := Status(y.f, p, o)
	y.f.Deployment.Status = status
	text := fmt.Sprintf("%d/%d/%d/%d/%d", status.Replicas, status.UpdatedReplicas, status.ReadyReplicas, status.AvailableReplicas, status.UnavailableReplicas)
	for _, c := range status.Conditions {
		text += fmt.Sprintf("\n%s %s %s: %s @%s", c.Type, c.Status, c.Reason, c.Message, c.LastUpdateTime.Sub(now))
	}
	return text + fmt.Sprintf("\nagain %s", again)
}

func (y *diary) expect(got string, want ...string) {
	y.t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
		y.t.Errorf("-want +got:\n%s", diff)
	}
}

func reports(rs *appsv1.ReplicaSet, pods, ready int32) {
	rs.Status = appsv1.ReplicaSetStatus{Replicas: pods, ReadyReplicas: ready, AvailableReplicas: ready, ObservedGeneration: rs.Generation, TerminatingReplicas: ptr.To(int32(1))}
}

func TestStatusOfARollout(t *testing.T) {
	d := web("a")
	rs := owned(d, 4)
	y := &diary{t: t, f: Facts{Deployment: d, Now: now, Sets: []*appsv1.ReplicaSet{rs}}}
	roll := Plan{Rollout: true}
	away := "Available False MinimumReplicasUnavailable: Deployment does not have minimum availability. @0s"
	name := rs.Name

	y.expect(y.next(0, roll, Outcome{Created: name}), "0/0/0/0/4",
		`Progressing True NewReplicaSetCreated: Created new replica set "`+name+`" @0s`, away, "again 1m1s")
	reports(rs, 4, 1)
	y.expect(y.next(10*time.Second, roll, Outcome{}), "4/4/1/1/3",
		away, `Progressing True ReplicaSetUpdated: ReplicaSet "`+name+`" is progressing. @10s`, "again 1m1s")
	y.expect(y.next(59*time.Second, roll, Outcome{}), "4/4/1/1/3",
		away, `Progressing True ReplicaSetUpdated: ReplicaSet "`+name+`" is progressing. @10s`, "again 2s")
	y.expect(y.next(2*time.Second, roll, Outcome{}), "4/4/1/1/3",
		away, `Progressing False ProgressDeadlineExceeded: ReplicaSet "`+name+`" has timed out progressing. @1m11s`, "again 0s")
	reports(rs, 4, 3)
	served := "Available True MinimumReplicasAvailable: Deployment has minimum availability. @1m20s"
	y.expect(y.next(9*time.Second, roll, Outcome{}), "4/4/3/3/1",
		served, `Progressing True ReplicaSetUpdated: ReplicaSet "`+name+`" is progressing. @1m20s`, "again 1m1s")
	reports(rs, 4, 4)
	done := `Progressing True NewReplicaSetAvailable: ReplicaSet "` + name + `" has successfully progressed. @1m21s`
	y.expect(y.next(time.Second, roll, Outcome{}), "4/4/4/4/0", served, done, "again 0s")

	// A pod that fails afterwards starts no clock, and changes the counts alone.
	reports(rs, 4, 3)
	y.expect(y.next(time.Hour, roll, Outcome{}), "4/4/3/3/1", served, done, "again 0s")
	if got := *y.f.Deployment.Status.TerminatingReplicas; got != 1 {
		t.Errorf("%d pods are terminating, want 1", got)
	}
	rs.Status.TerminatingReplicas = nil
	if y.next(0, roll, Outcome{}); y.f.Deployment.Status.TerminatingReplicas != nil {
		t.Error("what nobody counts is published")
	}
}

func TestStatusOfAPause(t *testing.T) {
	d := web("a")
	rs := owned(d, 4)
	reports(rs, 4, 4)
	y := &diary{t: t, f: Facts{Deployment: d, Now: now, Sets: []*appsv1.ReplicaSet{rs}}}
	y.next(0, Plan{Rollout: true}, Outcome{})
	served := "Available True MinimumReplicasAvailable: Deployment has minimum availability. @0s"
	d.Spec.Paused = true
	y.expect(y.next(time.Minute, Plan{}, Outcome{}), "4/4/4/4/0", served, "Progressing Unknown DeploymentPaused: Deployment is paused @1m0s", "again 0s")
	y.next(time.Hour, Plan{}, Outcome{})
	d.Spec.Paused = false
	d.Spec.Template.Spec.Containers[0].Image = "b"
	y.expect(y.next(time.Hour, Plan{Rollout: true}, Outcome{}), "4/0/4/4/0", served,
		"Progressing Unknown DeploymentResumed: Deployment is resumed @2h1m0s", "again 1m1s")

	// Without a deadline nothing is said of progress.
	d.Spec.ProgressDeadlineSeconds = ptr.To(int32(math.MaxInt32))
	y.expect(y.next(0, Plan{Rollout: true}, Outcome{}), "4/0/4/4/0", served, "again 0s")
	d.Spec.Paused = true
	y.expect(y.next(0, Plan{}, Outcome{}), "4/0/4/4/0", served, "again 0s")
}

func TestStatusOfFailures(t *testing.T) {
	d := web("a")
	y := &diary{t: t, f: Facts{Deployment: d, Now: now}}
	away := "Available False MinimumReplicasUnavailable: Deployment does not have minimum availability. @0s"
	refused := Outcome{Failed: "web-x", Error: "quota"}
	said := `Progressing False ReplicaSetCreateError: Failed to create new replica set "web-x": quota`
	y.expect(y.next(0, Plan{Rollout: true}, refused), "0/0/0/0/0", said+" @0s", away, "again 1m1s")
	y.expect(y.next(30*time.Second, Plan{Rollout: true}, refused), "0/0/0/0/0", said+" @0s", away, "again 31s")
	y.next(31*time.Second, Plan{Rollout: true}, refused)
	before := y.f.Deployment.Status
	if y.next(time.Hour, Plan{Rollout: true}, refused); before.Conditions[1].Reason != "ProgressDeadlineExceeded" || !cmp.Equal(before, y.f.Deployment.Status) {
		t.Errorf("a refusal that goes on after the deadline is not quiet: %+v", y.f.Deployment.Status.Conditions)
	}
	y.next(0, Plan{Rollout: true}, Outcome{Collided: true})
	if n := *y.f.Deployment.Status.CollisionCount; n != 1 {
		t.Errorf("%d collisions", n)
	}

	// What the new set says of its pods comes first.
	fails := func(rs *appsv1.ReplicaSet, text string) {
		rs.Status.Conditions = []appsv1.ReplicaSetCondition{{
			Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: text, LastTransitionTime: metav1.NewTime(now),
		}}
	}
	old, latest := owned(web("b"), 1), owned(d, 3)
	fails(old, "old")
	y.f.Sets = []*appsv1.ReplicaSet{old, latest}
	failure := func() string {
		y.next(0, Plan{Rollout: true}, Outcome{})
		for _, c := range y.f.Deployment.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure {
				return c.Reason + " " + c.Message
			}
		}
		return ""
	}
	if got := failure(); got != "FailedCreate old" {
		t.Errorf("failure %q", got)
	}
	old.Status.Conditions = nil
	if got := failure(); got != "" {
		t.Errorf("failure %q", got)
	}
	fails(old, "old")
	fails(latest, "new")
	if got := failure(); got != "FailedCreate new" {
		t.Errorf("failure %q", got)
	}
}

// A set that was there before the Deployment is found.
func TestStatusOfAFoundSet(t *testing.T) {
	d := web("a")
	rs := owned(d, 4)
	y := &diary{t: t, f: Facts{Deployment: d, Now: now, Sets: []*appsv1.ReplicaSet{rs}}}
	y.expect(y.next(0, Plan{Rollout: true}, Outcome{}), "0/0/0/0/4",
		`Progressing True FoundNewReplicaSet: Found new replica set "`+rs.Name+`" @0s`,
		"Available False MinimumReplicasUnavailable: Deployment does not have minimum availability. @0s", "again 1m1s")
}
