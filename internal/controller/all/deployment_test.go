package all_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
)

// hashOf is the hash of the Deployment's template before any collision.
func hashOf(t *testing.T, d *appsv1.Deployment) string {
	t.Helper()
	return revision.TemplateHash(&d.Spec.Template, nil)
}

// rollout is one Deployment that a test follows.
type rollout struct {
	*live
	name string
}

func (r rollout) get() *appsv1.Deployment {
	r.t.Helper()
	d, err := r.Client.AppsV1().Deployments("default").Get(r.t.Context(), r.name, metav1.GetOptions{})
	must(r.t, err)
	return d
}

func (r rollout) create(replicas int32, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	r.t.Helper()
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: r.name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": r.name}}, Template: template(r.name),
		},
	}
	for _, f := range change {
		f(d)
	}
	d, err := r.Client.AppsV1().Deployments("default").Create(r.t.Context(), d, metav1.CreateOptions{})
	must(r.t, err)
	return d
}

func (r rollout) patch(format string, args ...any) {
	r.t.Helper()
	_, err := r.Client.AppsV1().Deployments("default").Patch(r.t.Context(), r.name, types.StrategicMergePatchType, fmt.Appendf(nil, format, args...), metav1.PatchOptions{})
	must(r.t, err)
}

func (r rollout) image(name string) {
	r.t.Helper()
	r.patch(`{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":%q}]}}}}`, name)
}

// sets are the Deployment's, by revision: "REVISION IMAGE SIZE".
func (r rollout) sets() []string {
	r.t.Helper()
	list, err := r.Client.AppsV1().ReplicaSets("default").List(r.t.Context(), metav1.ListOptions{LabelSelector: "app=" + r.name})
	must(r.t, err)
	var all []string
	for _, rs := range list.Items {
		all = append(all, fmt.Sprintf("%s %s %d", rs.Annotations["deployment.kubernetes.io/revision"], rs.Spec.Template.Spec.Containers[0].Image, *rs.Spec.Replicas))
	}
	slices.Sort(all)
	return all
}

func (r rollout) done() {
	r.t.Helper()
	r.until("the end of the rollout of "+r.name, func() bool {
		d := r.get()
		n := *d.Spec.Replicas
		return d.Status.ObservedGeneration == d.Generation && d.Status.Replicas == n && d.Status.UpdatedReplicas == n && d.Status.AvailableReplicas == n &&
			condition(d, appsv1.DeploymentProgressing).Reason == "NewReplicaSetAvailable"
	})
}

func condition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) appsv1.DeploymentCondition {
	for _, c := range d.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return appsv1.DeploymentCondition{}
}

func (r rollout) expect(what string, got, want []string) {
	r.t.Helper()
	if !slices.Equal(got, want) {
		r.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestDeploymentLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	l.serviceAccount()
	r := rollout{l, "web"}
	r.create(3)
	r.done()
	d := r.get()
	if d.Annotations["deployment.kubernetes.io/revision"] != "1" || d.Generation != 1 {
		t.Errorf("generation %d, annotations %v: writing the revision makes no generation", d.Generation, d.Annotations)
	}
	r.image("nginx:2")
	r.done()
	r.expect("sets", r.sets(), []string{"1 nginx:1 0", "2 nginx:2 3"})
	var first, second string
	list, err := l.Client.AppsV1().ReplicaSets("default").List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, rs := range list.Items {
		if rs.Annotations["deployment.kubernetes.io/revision"] == "1" {
			first = rs.Name
		} else {
			second = rs.Name
		}
	}
	from := func(direction, set string, a, b int) string {
		return fmt.Sprintf("deployment-controller Normal ScalingReplicaSet: Scaled %s replica set %s from %d to %d", direction, set, a, b)
	}
	want := []string{
		from("up", first, 0, 3),
		from("up", second, 0, 1), from("down", first, 3, 2), from("up", second, 1, 2),
		from("down", first, 2, 1), from("up", second, 2, 3), from("down", first, 1, 0),
	}
	slices.Sort(want)
	said := func() []string {
		all := l.said("Deployment", "web")
		slices.Sort(all)
		return all
	}
	l.until("all events", func() bool { return len(said()) >= len(want) })
	r.expect("events", said(), want)

	// Back, as kubectl rollout undo does it: the old set serves once more, under a new revision.
	r.image("nginx:1")
	r.done()
	r.expect("sets after the way back", r.sets(), []string{"2 nginx:2 0", "3 nginx:1 3"})
	if d = r.get(); d.Annotations["deployment.kubernetes.io/revision"] != "3" {
		t.Errorf("annotations %v", d.Annotations)
	}
	rs, err := l.Client.AppsV1().ReplicaSets("default").Get(ctx, first, metav1.GetOptions{})
	must(t, err)
	if rs.Annotations["deployment.kubernetes.io/revision-history"] != "1" || rs.Annotations["deployment.kubernetes.io/desired-replicas"] != "3" || rs.Annotations["deployment.kubernetes.io/max-replicas"] != "4" {
		t.Errorf("annotations of the set %v", rs.Annotations)
	}

	// As the annotation of older versions asks.
	r.patch(`{"metadata":{"annotations":{"deprecated.deployment.rollback.to":"2"}}}`)
	l.until("the rollback", func() bool { return r.get().Spec.Template.Spec.Containers[0].Image == "nginx:2" })
	r.done()
	l.until("its event", func() bool {
		return slices.Contains(said(), `deployment-controller Normal DeploymentRollback: Rolled back deployment "web" to revision 2`)
	})

	// Paused: the template waits, the size does not.
	r.patch(`{"spec":{"paused":true}}`)
	l.until("the pause", func() bool {
		c := condition(r.get(), appsv1.DeploymentProgressing)
		return c.Reason == "DeploymentPaused" && c.Status == corev1.ConditionUnknown && c.Message == "Deployment is paused"
	})
	r.image("nginx:3")
	r.patch(`{"spec":{"replicas":5}}`)
	l.until("five pods of the old template", func() bool { return r.get().Status.AvailableReplicas == 5 })
	r.expect("sets while paused", r.sets(), []string{"3 nginx:1 0", "4 nginx:2 5"})
	r.patch(`{"spec":{"paused":false,"revisionHistoryLimit":1}}`)
	r.done()
	l.until("history to be cut", func() bool { return len(r.sets()) == 2 })
	r.expect("sets at the end", r.sets(), []string{"4 nginx:2 0", "5 nginx:3 5"})

	// Orphaned sets and pods are taken in by the next of that name, without a restart.
	uids := func() []types.UID {
		pods, err := l.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		must(t, err)
		var all []types.UID
		for _, p := range pods.Items {
			all = append(all, p.UID)
		}
		slices.Sort(all)
		return all
	}
	before := uids()
	must(t, l.Client.AppsV1().Deployments("default").Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}))
	l.until("the Deployment to go", func() bool {
		_, err := l.Client.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
		return err != nil
	})
	again := r.create(5, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "nginx:3" })
	r.done()
	if now := uids(); !slices.Equal(now, before) {
		t.Errorf("pods %v became %v", before, now)
	}
	if list, err := l.Client.AppsV1().ReplicaSets("default").List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 2 || !metav1.IsControlledBy(&list.Items[0], again) || !metav1.IsControlledBy(&list.Items[1], again) {
		t.Errorf("the sets were not adopted: %v", err)
	}
	must(t, l.Client.AppsV1().Deployments("default").Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}))
	l.until("everything to go", func() bool { return len(uids())+len(r.sets()) == 0 })
}

// What a user gets wrong, or somebody else's rules forbid, is said in upstream's
// words, and not tried all the time.
func TestDeploymentBadInput(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	l.serviceAccount()

	// The name of the set is taken by another template: another hash is found.
	taken := rollout{l, "taken"}
	taken.create(1, func(d *appsv1.Deployment) { d.Spec.Paused = true })
	l.until("the pause to be seen", func() bool { return taken.get().Status.ObservedGeneration > 0 })
	other := rollout{l, "other"}
	other.create(1)
	other.done()
	twin, err := l.Client.AppsV1().ReplicaSets("default").List(ctx, metav1.ListOptions{LabelSelector: "app=other"})
	must(t, err)
	squatter := twin.Items[0].DeepCopy()
	hash := hashOf(t, taken.get())
	squatter.ObjectMeta = metav1.ObjectMeta{Name: "taken-" + hash, Labels: squatter.Labels}
	squatter.Spec.Replicas = ptr.To(int32(0))
	_, err = l.Client.AppsV1().ReplicaSets("default").Create(ctx, squatter, metav1.CreateOptions{})
	must(t, err)
	taken.patch(`{"spec":{"paused":false}}`)
	taken.done()
	if n := taken.get().Status.CollisionCount; n == nil || *n != 1 {
		t.Errorf("collisions %v, want 1", n)
	}

	// Two Deployments of one selector keep to their own sets.
	double := rollout{l, "double"}
	double.create(2, func(d *appsv1.Deployment) {
		d.Spec.Selector.MatchLabels, d.Spec.Template.Labels = map[string]string{"app": "taken"}, map[string]string{"app": "taken", "twice": "yes"}
	})
	double.done()
	taken.done()

	// Sets are refused for ever: a condition, an event, and few attempts.
	_, err = l.Client.CoreV1().ResourceQuotas("default").Create(ctx, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/replicasets.apps": resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	must(t, err)
	l.until("the quota to be counted", func() bool {
		q, err := l.Client.CoreV1().ResourceQuotas("default").Get(ctx, "none", metav1.GetOptions{})
		return err == nil && len(q.Status.Used) == 1
	})
	refused := rollout{l, "refused"}
	d := refused.create(1)
	l.until("the refusal to be said", func() bool {
		c := condition(refused.get(), appsv1.DeploymentProgressing)
		return c.Reason == "ReplicaSetCreateError" && c.Status == corev1.ConditionFalse &&
			strings.HasPrefix(c.Message, `Failed to create new replica set "refused-`+hashOf(t, d)+`": replicasets.apps "refused-`) && strings.Contains(c.Message, "exceeded quota: none")
	})
	l.until("its event", func() bool {
		return slices.ContainsFunc(l.said("Deployment", "refused"), func(said string) bool {
			return strings.HasPrefix(said, "deployment-controller Warning ReplicaSetCreateError: Failed to create new replica set")
		})
	})
	must(t, l.Client.CoreV1().ResourceQuotas("default").Delete(ctx, "none", metav1.DeleteOptions{}))
	refused.done()

	// Pods are refused: the Deployment repeats what its set says.
	_, err = l.Client.CoreV1().ResourceQuotas("default").Create(ctx, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "full"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}},
	}, metav1.CreateOptions{})
	must(t, err)
	l.until("the quota to be counted", func() bool {
		q, err := l.Client.CoreV1().ResourceQuotas("default").Get(ctx, "full", metav1.GetOptions{})
		return err == nil && q.Status.Used.Pods().Value() > 1
	})
	refused.patch(`{"spec":{"replicas":2}}`)
	l.until("the failure of its pods", func() bool {
		c := condition(refused.get(), appsv1.DeploymentReplicaFailure)
		return c.Reason == "FailedCreate" && c.Status == corev1.ConditionTrue && strings.Contains(c.Message, "exceeded quota: full")
	})
	if c := condition(refused.get(), appsv1.DeploymentAvailable); c.Reason != "MinimumReplicasUnavailable" && c.Reason != "MinimumReplicasAvailable" {
		t.Errorf("available: %+v", c)
	}
}
