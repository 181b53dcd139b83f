package preview

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/golden"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
	"berth.dev/berth/internal/plan/statefulset"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func web(replicas int32) *appsv1.StatefulSet {
	labels := map[string]string{"app": "web"}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "web-uid"}}
	set.Spec = appsv1.StatefulSetSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{}},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: "nginx:1"}}},
		},
	}
	return set
}

// running is a set that has come to rest: its revision and pods are there.
func running(before *appsv1.StatefulSet) SetFacts {
	rev, err := revision.New(before, statefulset.SetRef(before), &before.Spec.Template, 1, 0)
	if err != nil {
		panic(err)
	}
	n := *before.Spec.Replicas
	before.Status = appsv1.StatefulSetStatus{CurrentRevision: rev.Name, UpdateRevision: rev.Name, CurrentReplicas: n}
	f := SetFacts{Before: before, After: before.DeepCopy(), Revisions: []*appsv1.ControllerRevision{rev}, Rules: statefulset.Production, Now: noon}
	for i := range int(n) {
		pod := statefulset.NewPod(before, &before.Spec.Template, rev.Name, i)
		pod.UID = types.UID(pod.Name)
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(noon.Add(-time.Hour))},
		}}
		f.Pods = append(f.Pods, pod)
		for t := range before.Spec.VolumeClaimTemplates {
			f.Claims = append(f.Claims, statefulset.NewClaim(before, t, i, statefulset.Nobody))
		}
	}
	return f
}

func withClaims(set *appsv1.StatefulSet, size string) *appsv1.StatefulSet {
	c := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "www"}}
	c.Spec.StorageClassName = ptr.To("fast")
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{c}
	return set
}

func image(f SetFacts) SetFacts {
	f.After.Spec.Template.Spec.Containers[0].Image = "nginx:2"
	return f
}

func pdb(minimum int) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, MinAvailable: ptr.To(intstr.FromInt(minimum))},
	}
}

var previews = []struct {
	name  string
	facts func() SetFacts
}{
	{"nothing changes", func() SetFacts { return running(web(3)) }},
	{"a new set with claims", func() SetFacts {
		return SetFacts{After: withClaims(web(2), "1Gi"), Rules: statefulset.Production, Now: noon}
	}},
	{"another image", func() SetFacts { return image(running(web(3))) }},
	{"another image, minReadySeconds", func() SetFacts {
		set := web(2)
		set.Spec.MinReadySeconds = 30
		return image(running(set))
	}},
	{"another image under a budget", func() SetFacts {
		f := image(running(web(3)))
		f.Budgets = []*policyv1.PodDisruptionBudget{pdb(3)}
		return f
	}},
	{"another image within a budget", func() SetFacts {
		f := image(running(web(3)))
		f.Budgets = []*policyv1.PodDisruptionBudget{pdb(2)}
		return f
	}},
	{"a rollout that respects its budget", func() SetFacts {
		f := image(running(web(4)))
		f.After.Annotations = map[string]string{"berth.dev/respect-pdb": "true"}
		f.After.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt(2))
		f.Budgets = []*policyv1.PodDisruptionBudget{pdb(3)}
		return f
	}},
	{"a rollout that its budget never lets begin", func() SetFacts {
		f := image(running(web(3)))
		f.After.Annotations = map[string]string{"berth.dev/respect-pdb": "true"}
		f.Budgets = []*policyv1.PodDisruptionBudget{pdb(3)}
		return f
	}},
	{"overrides of one pod", func() SetFacts {
		f := running(web(3))
		f.After.Annotations = map[string]string{"berth.dev/overrides": "web-pods"}
		f.Overrides = &corev1.ConfigMap{Data: map[string]string{"1": "metadata: {labels: {role: primary}}"}}
		return f
	}},
	{"overrides that are not there", func() SetFacts {
		f := image(running(web(3)))
		f.After.Annotations = map[string]string{"berth.dev/overrides": "web-pods"}
		return f
	}},
	{"in place", func() SetFacts {
		f := image(running(web(2)))
		f.After.Annotations = map[string]string{"berth.dev/in-place-update": "IfPossible"}
		for _, pod := range f.Pods {
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "nginx", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		}
		return f
	}},
	{"the primary goes last", func() SetFacts {
		f := image(running(web(3)))
		f.After.Annotations = map[string]string{"berth.dev/update-order": "role=primary"}
		f.Pods[2].Labels["role"] = "primary"
		return f
	}},
	{"ordered teardown is asked for", func() SetFacts {
		f := running(web(1))
		f.After.Annotations = map[string]string{"berth.dev/ordered-teardown": "true"}
		return f
	}},
	{"pods keep ending", func() SetFacts {
		f := running(web(2))
		f.Pods[1].Status = corev1.PodStatus{Phase: corev1.PodFailed}
		f.After.Status.Conditions = []appsv1.StatefulSetCondition{{
			Type: statefulset.ConditionBackOff, Status: corev1.ConditionTrue,
			Message: "web-1: replaced 7 times without becoming available, last at 2026-01-02T11:59:50Z",
		}}
		return f
	}},
	{"one pod is to be replaced", func() SetFacts {
		f := running(web(3))
		f.Pods[0].Labels["berth.dev/replace"] = "true"
		return f
	}},
	{"two at a time fall below a budget", func() SetFacts {
		f := image(running(web(4)))
		f.After.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt(2))
		f.Budgets = []*policyv1.PodDisruptionBudget{pdb(3)}
		return f
	}},
	{"all at once, no pod is ordered", func() SetFacts {
		set := web(3)
		set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
		f := image(running(set))
		f.After.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromString("100%"))
		return f
	}},
	{"a partition keeps two", func() SetFacts {
		f := image(running(web(3)))
		f.After.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To(int32(2))
		return f
	}},
	{"by hand", func() SetFacts {
		f := image(running(web(3)))
		f.After.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
		return f
	}},
	{"paused", func() SetFacts {
		f := image(running(web(3)))
		f.After.Annotations = map[string]string{"berth.dev/paused": "true"}
		return f
	}},
	{"scaled up", func() SetFacts {
		f := running(withClaims(web(1), "1Gi"))
		f.After.Spec.Replicas = ptr.To(int32(3))
		return f
	}},
	{"scaled down, claims stay", func() SetFacts {
		f := running(withClaims(web(3), "1Gi"))
		f.After.Spec.Replicas = ptr.To(int32(1))
		return f
	}},
	{"scaled down, claims go", func() SetFacts {
		f := running(withClaims(web(2), "1Gi"))
		f.After.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenScaled: "Delete", WhenDeleted: "Retain"}
		f.After.Spec.Replicas = ptr.To(int32(1))
		return f
	}},
	{"scaled to nothing", func() SetFacts {
		f := running(web(2))
		f.After.Spec.Replicas = ptr.To(int32(0))
		return f
	}},
	{"claims grow", func() SetFacts {
		f := running(withClaims(web(2), "1Gi"))
		withClaims(f.After, "2Gi")
		for _, c := range f.Claims {
			c.Status.Phase, c.Status.Capacity = corev1.ClaimBound, c.Spec.Resources.Requests
		}
		f.Classes = []*storagev1.StorageClass{{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, AllowVolumeExpansion: ptr.To(true)}}
		return f
	}},
	{"claims cannot grow", func() SetFacts {
		f := running(withClaims(web(2), "1Gi"))
		withClaims(f.After, "2Gi")
		f.Classes = []*storagev1.StorageClass{{ObjectMeta: metav1.ObjectMeta{Name: "fast"}}}
		return f
	}},
	{"one pod is stuck", func() SetFacts {
		f := running(web(3))
		f.After.Spec.Replicas = ptr.To(int32(4))
		stuck := f.Pods[1]
		stuck.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "nginx", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}},
		}}
		return f
	}},
	{"a broken rollout is given up", func() SetFacts {
		f := running(web(3)) // it goes back to the revision that pods 0 and 1 have
		broken := f.Pods[2]
		broken.Labels[appsv1.ControllerRevisionHashLabelKey] = "web-broken"
		broken.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "nginx", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}},
		}}
		return f
	}},
	{"a pod is on its way", func() SetFacts {
		f := running(web(2))
		f.Pods[1].Status = corev1.PodStatus{Phase: corev1.PodPending}
		return f
	}},
	{"orphans are taken over", func() SetFacts {
		f := running(web(2))
		for _, pod := range f.Pods {
			pod.OwnerReferences = nil
		}
		f.Before, f.Revisions = nil, nil
		f.After.UID, f.After.Status = "new", appsv1.StatefulSetStatus{}
		return f
	}},
}

func TestSet(t *testing.T) {
	const file = "testdata/previews.txt"
	var b strings.Builder
	for _, c := range previews {
		r := Result{Object: "statefulset/web", Namespace: "shop", Change: Configure}
		if err := Set(c.facts(), &r); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		fmt.Fprintf(&b, "===== %s\n%s", c.name, r.Text())
	}
	golden.Same(t, file, b.String())
}

// The set's own objects are somebody's: looking ahead does not change them.
func TestSetChangesNothing(t *testing.T) {
	for _, c := range previews {
		f := c.facts()
		set, pods := f.After.DeepCopy(), slices.Clone(f.Pods)
		for i, pod := range f.Pods {
			pods[i] = pod.DeepCopy()
		}
		if err := Set(f, &Result{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(set, f.After) + cmp.Diff(pods, f.Pods); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// Many steps are looked at, and not all printed.
func TestManySteps(t *testing.T) {
	r := Result{Object: "statefulset/web", Change: Configure}
	if err := Set(image(running(web(100))), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Steps) != 200 || r.End != "100 of 100 pods available" {
		t.Errorf("%d steps, then %s", len(r.Steps), r.End)
	}
	if lines := strings.Count(r.Text(), "\n"); lines > 2*shown+20 {
		t.Errorf("%d lines", lines)
	}
}
