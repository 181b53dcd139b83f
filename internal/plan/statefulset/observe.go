package statefulset

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/podready"
	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/plan/statefulset/override"
)

// Facts are the objects that a State is read from. They are not changed.
type Facts struct {
	Set *appsv1.StatefulSet
	// Pods are controlled by the set; the order does not matter.
	Pods []*corev1.Pod
	// Claim returns the claim of that name in the set's namespace, or nil.
	Claim func(name string) *corev1.PersistentVolumeClaim
	// Current and Update name the revisions.
	Current, Update string
	Now             time.Time
	// Template returns the template of a revision, nil when it is not known.
	Template func(revision string) *corev1.PodTemplateSpec
	// Overrides are patches of the template by ordinal; OverridesError says why
	// those that are asked for cannot be read.
	Overrides      override.Set
	OverridesError string
	// Budgets are the PodDisruptionBudgets of the namespace, when they are asked for.
	Budgets []*policyv1.PodDisruptionBudget
}

// Observe reads the state from the objects.
func Observe(f Facts) State {
	spec := &f.Set.Spec
	s := State{
		Name:            f.Set.Name,
		Deleting:        f.Set.DeletionTimestamp != nil,
		Replicas:        int(ptr.Deref(spec.Replicas, 1)),
		Parallel:        spec.PodManagementPolicy == appsv1.ParallelPodManagement,
		Strategy:        Strategy(cmp.Or(string(spec.UpdateStrategy.Type), string(RollingUpdate))),
		MaxUnavailable:  1,
		Current:         f.Current,
		Update:          f.Update,
		CurrentReplicas: int(f.Set.Status.CurrentReplicas),
	}
	asked, _ := options.Parse(f.Set.Annotations)
	s.ScaleDownUnready, s.Reserved, s.Paused = asked.ScaleDownUnready, asked.Reserved, asked.Paused
	s.PrePull = asked.PrePull
	s.BadOverrides = f.badOverrides()
	s.Order, s.InPlace = asked.Order, asked.InPlace
	s.RecoverTogether = asked.RecoverTogether
	s.Teardown = asked.OrderedTeardown
	s.Guarded = slices.Contains(f.Set.Finalizers, options.TeardownFinalizer)
	s.Orphaning = slices.Contains(f.Set.Finalizers, metav1.FinalizerOrphanDependents)
	if asked.MaxUnavailableScale != nil {
		s.StartLimit = atLeastOne(asked.MaxUnavailableScale, s.Replicas)
	}
	if spec.Ordinals != nil {
		s.Start = int(spec.Ordinals.Start)
	}
	if rolling := spec.UpdateStrategy.RollingUpdate; rolling != nil {
		s.HasRolling = true
		s.Partition = int(ptr.Deref(rolling.Partition, 0))
		s.MaxUnavailable = atLeastOne(rolling.MaxUnavailable, s.Replicas)
	}
	if policy := spec.PersistentVolumeClaimRetentionPolicy; policy != nil {
		s.Retention = Retention{
			WhenScaled:  policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
			WhenDeleted: policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
		}
	}
	s.Pods = observePods(f, s)
	remember(f, s.Pods)
	if s.RespectBudgets = asked.RespectPDB; s.RespectBudgets {
		s.Budgets = observeBudgets(f)
	}
	return s
}

// atLeastOne resolves a number or percentage: rounded down, at least 1.
func atLeastOne(value *intstr.IntOrString, replicas int) int {
	if value == nil {
		return 1
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(value, replicas, false)
	if err != nil {
		return 1
	}
	return max(n, 1)
}

func observePods(f Facts, s State) []Pod {
	byOrdinal := make(map[int]*corev1.Pod, len(f.Pods))
	for _, pod := range f.Pods {
		if name, ordinal, ok := ParseName(pod.Name); ok && name == s.Name {
			byOrdinal[ordinal] = pod
		}
	}
	pods := make([]Pod, 0, max(s.Replicas, len(byOrdinal)))
	for ordinal, end := s.Start, s.end(); ordinal < end; ordinal++ {
		if s.Reserved.Has(ordinal) {
			continue
		}
		pods = append(pods, observePod(f, s, ordinal, byOrdinal[ordinal]))
		delete(byOrdinal, ordinal)
	}
	for ordinal, pod := range byOrdinal {
		pods = append(pods, observePod(f, s, ordinal, pod))
	}
	slices.SortFunc(pods, func(a, b Pod) int { return a.Ordinal - b.Ordinal })
	return pods
}

func observePod(f Facts, s State, ordinal int, pod *corev1.Pod) Pod {
	p := Pod{Ordinal: ordinal, Claims: observeClaims(f, s, ordinal, pod), Override: f.Overrides.Hash(ordinal)}
	if pod == nil {
		return p
	}
	p.UID = pod.UID
	p.Terminating = pod.DeletionTimestamp != nil
	p.Revision = RevisionOf(s.Name, pod)
	p.Overridden = pod.Annotations[override.HashAnnotation]
	p.Turn = s.Order.Turn(pod.Labels)
	p.Asked = pod.Labels[options.ReplaceLabel] == "true" && f.Set.Spec.Template.Labels[options.ReplaceLabel] == ""
	p.WrongIdentity = !IdentityOK(pod)
	p.WrongStorage, p.OlderStorage = wrongStorage(f.Set, ordinal, pod)
	p.Health, p.AvailableIn = health(pod, f.Set.Spec.MinReadySeconds, f.Now)
	p.observeInPlace(f, s, pod)
	p.observePull(f, s, pod)
	if p.Health < Ready && p.Detail == "" {
		p.Detail, p.NeverStarted, p.Stuck = trouble(pod)
	}
	return p
}

func observeClaims(f Facts, s State, ordinal int, pod *corev1.Pod) []Claim {
	templates := f.Set.Spec.VolumeClaimTemplates
	if len(templates) == 0 {
		return nil
	}
	claims := make([]Claim, len(templates))
	var owner metav1.Object
	if pod != nil {
		owner = pod
	}
	for i := range templates {
		name := ClaimName(templates[i].Name, s.Name, ordinal)
		if claim := f.Claim(name); claim != nil {
			claims[i] = claimFacts(claim, f.Set, PodName(s.Name, ordinal), owner, s.Retention)
			claims[i].size(claim, &templates[i])
		} else {
			claims[i] = Claim{Name: name, Missing: true}
		}
		claims[i].Template = i
	}
	return claims
}

// health places a pod on the ladder; the duration is what a Ready one has left.
func health(pod *corev1.Pod, minReadySeconds int32, now time.Time) (Health, time.Duration) {
	switch pod.Status.Phase {
	case corev1.PodFailed, corev1.PodSucceeded:
		return Dead, 0
	case corev1.PodPending, "":
		return Pending, 0
	case corev1.PodRunning:
	default:
		return Starting, 0
	}
	if !podready.Ready(pod) {
		return Starting, 0
	}
	available, left := podready.Available(pod, minReadySeconds, now)
	if available {
		return Available, 0
	}
	return Ready, left
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	return podready.Condition(pod, kind)
}
