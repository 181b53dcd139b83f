package sim

import (
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	plan "berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/plan/statefulset/override"
)

var (
	setGVK       = appsv1.SchemeGroupVersion.WithKind("StatefulSet")
	configMapGVK = corev1.SchemeGroupVersion.WithKind("ConfigMap")
)

// Converged reports every way in which a workload is not what its spec asks for.
// Ask it after Settle.
func (s *Sim) Converged() error {
	var errs []error
	for _, obj := range sorted(s.store.kind(setGVK).objects) {
		set := obj.(*appsv1.StatefulSet)
		if set.DeletionTimestamp != nil {
			errs = append(errs, fmt.Errorf("set %s is still being deleted", set.Name))
			continue
		}
		errs = append(errs, s.converged(set))
	}
	for _, obj := range sorted(s.store.kind(replicaSetGVK).objects) {
		errs = append(errs, s.convergedReplicas(obj.(*appsv1.ReplicaSet)))
	}
	for _, obj := range sorted(s.store.kind(deploymentGVK).objects) {
		errs = append(errs, s.convergedDeployment(obj.(*appsv1.Deployment)))
	}
	for _, obj := range sorted(s.store.kind(daemonSetGVK).objects) {
		errs = append(errs, s.convergedDaemons(obj.(*appsv1.DaemonSet)))
	}
	return errors.Join(errs...)
}

func (s *Sim) converged(set *appsv1.StatefulSet) error {
	var errs []error
	complain := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("set %s: "+format, append([]any{set.Name}, args...)...))
	}
	replicas := int(*set.Spec.Replicas)
	for _, small := range s.smallClaims(set) {
		complain("claim %s asks for less than its template", small)
	}
	var want, got []string
	for _, ordinal := range wantedBy(set) {
		want = append(want, plan.PodName(set.Name, ordinal))
	}
	slices.Sort(want)
	updated := 0
	for _, pod := range s.podsOf(set) {
		got = append(got, pod.Name)
		if !isReady(pod) || pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
			complain("pod %s is not ready", pod.Name)
		}
		if plan.RevisionOf(set.Name, pod) == set.Status.UpdateRevision {
			updated++
		}
		if _, ordinal, _ := plan.ParseName(pod.Name); pod.Annotations[override.HashAnnotation] != s.overrides(set).Hash(ordinal) {
			complain("pod %s has overrides %q, want %q", pod.Name, pod.Annotations[override.HashAnnotation], s.overrides(set).Hash(ordinal))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		complain("pods are %v, want %v", got, want)
	}
	if wanted := wantUpdated(set, replicas); updated < wanted {
		complain("%d pods are of the update revision, want %d", updated, wanted)
	}
	st := set.Status
	for name, n := range map[string]int32{"replicas": st.Replicas, "readyReplicas": st.ReadyReplicas, "availableReplicas": st.AvailableReplicas} {
		if int(n) != replicas {
			complain("status.%s is %d, want %d", name, n, replicas)
		}
	}
	if int(st.UpdatedReplicas) != updated {
		complain("status.updatedReplicas is %d, but %d pods are", st.UpdatedReplicas, updated)
	}
	if st.ObservedGeneration != set.Generation {
		complain("status.observedGeneration is %d, want %d", st.ObservedGeneration, set.Generation)
	}
	if updated == replicas && st.CurrentRevision != st.UpdateRevision {
		complain("currentRevision %s is not updateRevision %s though all pods are updated", st.CurrentRevision, st.UpdateRevision)
	}
	return errors.Join(errs...)
}

// overrides are the patches that the set asks for, none when they cannot be read.
func (s *Sim) overrides(set *appsv1.StatefulSet) override.Set {
	asked, _ := options.Parse(set.Annotations)
	found, ok := s.store.kind(configMapGVK).objects[nameIn(set, asked.Overrides)].(*corev1.ConfigMap)
	if !ok {
		return override.Set{}
	}
	patches, err := override.Parse(found.Data)
	if err != nil {
		return override.Set{}
	}
	return patches
}

// smallClaims are those of wanted pods that ask for less than their templates.
func (s *Sim) smallClaims(set *appsv1.StatefulSet) []string {
	var small []string
	for _, ordinal := range wantedBy(set) {
		for i := range set.Spec.VolumeClaimTemplates {
			template := &set.Spec.VolumeClaimTemplates[i]
			claim, ok := s.store.kind(claimGVK).objects[nameIn(set, plan.ClaimName(template.Name, set.Name, ordinal))].(*corev1.PersistentVolumeClaim)
			if ok && claim.Spec.Resources.Requests.Storage().Cmp(*template.Spec.Resources.Requests.Storage()) < 0 {
				small = append(small, claim.Name)
			}
		}
	}
	return small
}

// wantUpdated is how many pods must be of the update revision in the end.
func wantUpdated(set *appsv1.StatefulSet, replicas int) int {
	strategy := set.Spec.UpdateStrategy
	if strategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return 0
	}
	if strategy.RollingUpdate == nil {
		return replicas
	}
	return max(replicas-int(ptr.Deref(strategy.RollingUpdate.Partition, 0)), 0)
}

func (s *Sim) podsOf(set *appsv1.StatefulSet) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range s.pods() {
		if metav1.IsControlledBy(pod, set) {
			pods = append(pods, pod)
		}
	}
	return pods
}
