package oracle

import (
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/api/defaults"
	plan "berth.dev/berth/internal/plan/statefulset"
)

const (
	setName   = "web"
	namespace = "default"
	setUID    = "uid-of-web"
	grace     = 30
)

// epoch is when all states are: full seconds, as the API has them.
var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// drawing is a state on its way.
type drawing struct {
	dice
	*State
	// trouble is how much is wrong.
	trouble float64
	// wanted is the variant of the template that the set has now.
	wanted int
	// update and current are the revisions that the pods most likely have.
	update, current string
}

// Draw returns the nth state of a seed. It is one that the API server would
// hold: defaults are filled, only a running pod is ready, an object has one
// controller at most, and a newest revision that the status names for the set's
// generation is of its template.
func Draw(seed, n uint64) *State {
	d := &drawing{dice: newDice(seed, n), State: &State{Now: metav1.NewTime(epoch)}}
	d.trouble = pick(d.dice, 0, 0, 0.03, 0.1, 0.3)
	d.wanted = 1 + d.IntN(variants)
	d.drawSet()
	d.drawRevisions()
	d.drawStatus()
	d.drawPods()
	d.drawClaims()
	d.drawRefusals()
	return d.State
}

// drawRefusals lets the API refuse some writes. It lets be what a Parallel set
// does: where upstream stops depends on its batches.
func (d *drawing) drawRefusals() {
	if d.parallel() || !d.chance(0.15) {
		return
	}
	for range 1 + d.IntN(3) {
		ordinal := d.start() + d.IntN(int(*d.Set.Spec.Replicas)+2)
		what := pick(d.dice, podKind, podKind, claimKind)
		name := plan.PodName(setName, ordinal)
		if what == claimKind {
			name = plan.ClaimName(pick(d.dice, "data", "logs"), setName, ordinal)
		}
		d.Refused = append(d.Refused, pick(d.dice, "create ", "update ", "delete ")+what+" "+name)
	}
}

func (d *drawing) drawSet() {
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: setName, Namespace: namespace, UID: setUID, ResourceVersion: "1", Generation: 5,
			CreationTimestamp: metav1.NewTime(epoch.Add(-time.Hour)),
		},
		Spec: appsv1.StatefulSetSpec{
			ServiceName:          pick(d.dice, "", "nginx"),
			Selector:             &metav1.LabelSelector{MatchLabels: map[string]string{"app": setName}},
			Template:             template(d.wanted),
			Replicas:             ptr.To(int32(pick(d.dice, 0, 1, 2, 3, 3, 4, 5, 6))),
			RevisionHistoryLimit: ptr.To(pick[int32](d.dice, 0, 1, 2, 10, 10, -1)),
			MinReadySeconds:      pick[int32](d.dice, 0, 10),
			PodManagementPolicy:  pick(d.dice, appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement),
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: d.retention(), WhenScaled: d.retention(),
			},
		},
	}
	if d.chance(0.1) {
		set.Annotations = map[string]string{"team": "blue"}
	}
	if d.chance(0.3) {
		set.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: int32(d.IntN(4))}
	}
	d.drawStrategy(&set.Spec)
	for _, name := range some(d.dice, pick(d.dice, 0, 0, 1, 1, 2), "data", "logs") {
		set.Spec.VolumeClaimTemplates = append(set.Spec.VolumeClaimTemplates, claimTemplate(d.dice, name))
	}
	defaults.StatefulSet(set)
	if d.chance(0.04) {
		set.DeletionTimestamp, set.DeletionGracePeriodSeconds = &d.Now, ptr.To(int64(0))
		set.Finalizers = []string{metav1.FinalizerDeleteDependents}
	}
	d.Set = set
}

func (d *drawing) retention() appsv1.PersistentVolumeClaimRetentionPolicyType {
	return pick(d.dice, appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType)
}

// drawStrategy also draws rollingUpdate left out, which differs from an empty one.
func (d *drawing) drawStrategy(spec *appsv1.StatefulSetSpec) {
	kind := pick(d.dice, appsv1.RollingUpdateStatefulSetStrategyType, appsv1.RollingUpdateStatefulSetStrategyType,
		appsv1.RollingUpdateStatefulSetStrategyType, appsv1.RollingUpdateStatefulSetStrategyType, appsv1.OnDeleteStatefulSetStrategyType)
	spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: kind}
	if kind != appsv1.RollingUpdateStatefulSetStrategyType || d.chance(0.25) {
		return
	}
	spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{
		Partition:      ptr.To(int32(pick(d.dice, 0, 0, 0, d.IntN(8)))),
		MaxUnavailable: ptr.To(pick(d.dice, intstr.FromInt32(1), intstr.FromInt32(2), intstr.FromInt32(3), intstr.FromString("10%"), intstr.FromString("50%"), intstr.FromString("100%"))),
	}
}

// variants is how many templates there are to roll between.
const variants = 4

// template is a pod template; the variants differ in more than the image.
func template(variant int) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": setName}},
		Spec: corev1.PodSpec{
			Containers:                    []corev1.Container{{Name: "app", Image: fmt.Sprintf("app:%d", variant)}},
			TerminationGracePeriodSeconds: ptr.To(int64(grace)),
		},
	}
	switch variant {
	case 2: // a volume, and one that a claim template wins over
		t.Spec.Volumes = []corev1.Volume{
			{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		}
	case 3:
		t.Labels["tier"], t.Annotations = "back", map[string]string{"note": "three"}
	case 4:
		t.Finalizers, t.Spec.Hostname, t.Spec.Subdomain = []string{"example.com/guard"}, "other", "other"
	}
	defaults.PodTemplateSpec(&t)
	return t
}

func claimTemplate(d dice, name string) corev1.PersistentVolumeClaim {
	claim := corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	if d.chance(0.3) {
		claim.Labels = map[string]string{"disk": "fast", "app": "other"}
		claim.Annotations = map[string]string{"note": "disk"}
	}
	return claim
}

func (d *drawing) drawPods() {
	for ordinal := max(d.start()-2, 0); ordinal < d.end()+3; ordinal++ {
		there := 0.3
		if ordinal >= d.start() && ordinal < d.end() {
			there = 1 - 1.5*d.trouble
		}
		if d.chance(there) {
			d.Pods = append(d.Pods, d.drawPod(ordinal))
		}
	}
}

func (d *drawing) drawPod(ordinal int) *corev1.Pod {
	revision := d.update
	switch {
	case d.chance(0.35):
		revision = d.current
	case d.chance(0.2) && len(d.Revisions) > 0:
		revision = pick(d.dice, d.Revisions...).Name
	case d.chance(d.trouble / 3):
		revision = pick(d.dice, "", "web-forgotten")
	}
	t := d.templateOf(revision)
	pod := plan.NewPod(d.Set, &t, revision, ordinal)
	pod.UID, pod.ResourceVersion = podUID(ordinal), "1"
	pod.CreationTimestamp = metav1.NewTime(epoch.Add(-10 * time.Minute))
	d.drawHealth(pod)
	if d.chance(d.trouble / 2) {
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = ptr.To(metav1.NewTime(epoch.Add(-2*time.Second))), ptr.To(int64(grace))
	}
	d.damage(pod)
	return pod
}

func podUID(ordinal int) types.UID { return types.UID("pod-" + strconv.Itoa(ordinal)) }

// drawHealth draws a pod's phase and readiness.
func (d *drawing) drawHealth(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodRunning
	if d.chance(d.trouble) {
		pod.Status.Phase = pick(d.dice, corev1.PodPending, corev1.PodPending, corev1.PodFailed, corev1.PodSucceeded, corev1.PodUnknown)
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(epoch.Add(-time.Minute))}
	switch {
	case pod.Status.Phase != corev1.PodRunning || d.chance(d.trouble):
		if d.chance(0.3) {
			return // no condition at all
		}
	default:
		ready.Status = corev1.ConditionTrue
		if d.chance(0.1 + d.trouble) {
			ready.LastTransitionTime = metav1.NewTime(epoch.Add(-pick(d.dice, 3*time.Second, 9*time.Second, 10*time.Second, 11*time.Second)))
		}
	}
	pod.Status.Conditions = []corev1.PodCondition{ready}
}

// damage makes identity, storage or ownership wrong.
func (d *drawing) damage(pod *corev1.Pod) {
	few := 0.02 + d.trouble/4
	if d.chance(few) {
		switch d.IntN(4) {
		case 0:
			delete(pod.Labels, appsv1.StatefulSetPodNameLabel)
		case 1:
			pod.Labels[appsv1.StatefulSetPodNameLabel] = "web-17"
		case 2:
			pod.Labels[appsv1.StatefulSetPodNameLabel], pod.Labels[appsv1.PodIndexLabel] = "other-0", "7"
		case 3:
			delete(pod.Labels, appsv1.PodIndexLabel) // by itself no reason to repair
		}
	}
	if d.chance(few) && len(pod.Spec.Volumes) > 0 {
		volume := &pod.Spec.Volumes[d.IntN(len(pod.Spec.Volumes))]
		switch d.IntN(3) {
		case 0:
			volume.Name = "strange"
		case 1:
			volume.VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
		case 2:
			volume.VolumeSource = claimSource("data-web-42")
		}
	}
	if d.chance(few / 2) {
		d.estrange(pod)
	}
}

// estrange makes a pod an orphan, one that the set has to release, or none of its
// business. In the way of a Parallel set stands none: where upstream stops at the
// error depends on its batches.
func (d *drawing) estrange(pod *corev1.Pod) {
	ordinal := d.ordinal(pod.Name)
	inTheWay := d.parallel() && ordinal >= d.start() && ordinal < d.end()
	switch d.IntN(4) {
	case 0:
		if !inTheWay || pod.DeletionTimestamp == nil {
			pod.OwnerReferences = nil
		}
	case 1:
		if !inTheWay {
			pod.Labels["app"] = "stranger"
		}
	case 2:
		if !inTheWay {
			pod.OwnerReferences, pod.Labels["app"] = nil, "stranger"
		}
	case 3:
		if !inTheWay {
			pod.OwnerReferences[0].Name, pod.OwnerReferences[0].UID = "another", "uid-of-another"
		}
	}
}

func claimSource(name string) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
}
