package oracle

import (
	"reflect"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
	plan "berth.dev/berth/internal/plan/statefulset"
)

// Shrink makes a state plainer, step by step, as long as it stays bad.
func Shrink(s *State, bad func(*State) bool) *State {
	for again := true; again; {
		again = false
		for _, change := range plainer(s) {
			smaller := s.copy()
			change(smaller)
			if !same(s, smaller) && smaller.possible() && bad(smaller) {
				s, again = smaller, true
				break
			}
		}
	}
	return s
}

func same(a, b *State) bool { return reflect.DeepEqual(a, b) }

// possible reports whether a newest revision that the status names for the set's
// generation is of its template, as Draw promises of a set that is not being deleted.
func (s *State) possible() bool {
	if s.Set.Status.ObservedGeneration != s.Set.Generation || s.Set.DeletionTimestamp != nil {
		return true
	}
	var newest *appsv1.ControllerRevision
	for _, rev := range s.Revisions {
		if rev.Labels["app"] == setName && (newest == nil || rev.Revision > newest.Revision) {
			newest = rev
		}
	}
	if newest == nil || newest.Name != s.Set.Status.UpdateRevision {
		return true
	}
	of, err := revision.Template(newest)
	return err == nil && of.Spec.Containers[0].Image == s.Set.Spec.Template.Spec.Containers[0].Image
}

// plainer are changes that make a state plainer, those that do most first.
func plainer(s *State) []func(*State) {
	var all []func(*State)
	for i := range s.Pods {
		all = append(all, func(s *State) { s.Pods = slices.Delete(s.Pods, i, i+1) })
	}
	for i := range s.Claims {
		all = append(all, func(s *State) { s.Claims = slices.Delete(s.Claims, i, i+1) })
	}
	for i := range s.Revisions {
		all = append(all, func(s *State) { s.Revisions = slices.Delete(s.Revisions, i, i+1) })
	}
	for i := range s.Refused {
		all = append(all, func(s *State) { s.Refused = slices.Delete(s.Refused, i, i+1) })
	}
	for i := range s.Set.Spec.VolumeClaimTemplates {
		all = append(all, func(s *State) {
			s.Set.Spec.VolumeClaimTemplates = slices.Delete(s.Set.Spec.VolumeClaimTemplates, i, i+1)
		})
	}
	for i := range s.Pods {
		all = append(all, plainerPod(i)...)
	}
	for i := range s.Claims {
		all = append(all,
			func(s *State) { s.Claims[i].OwnerReferences = nil },
			func(s *State) { s.Claims[i].DeletionTimestamp = nil },
		)
	}
	return append(all, plainerSet()...)
}

func plainerPod(i int) []func(*State) {
	return []func(*State){
		func(s *State) { s.Pods[i].DeletionTimestamp = nil },
		func(s *State) { plan.SetIdentity(s.Pods[i], s.ordinal(s.Pods[i].Name)) },
		func(s *State) { plan.SetStorage(s.Set, s.Pods[i], s.ordinal(s.Pods[i].Name)) },
		func(s *State) {
			s.Pods[i].Labels[appsv1.ControllerRevisionHashLabelKey] = s.Set.Status.UpdateRevision
		},
		func(s *State) { // available
			s.Pods[i].Status.Phase = corev1.PodRunning
			s.Pods[i].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			s.Pods[i].Status.Conditions[0].LastTransitionTime.Time = epoch.Add(-hour)
		},
	}
}

const hour = 3600e9

func plainerSet() []func(*State) {
	return []func(*State){
		func(s *State) { s.Set.Spec.Replicas = ptr.To(max(*s.Set.Spec.Replicas-1, 0)) },
		func(s *State) { s.Set.Spec.Ordinals = nil },
		func(s *State) { s.Set.Spec.MinReadySeconds = 0 },
		func(s *State) { s.Set.Spec.RevisionHistoryLimit = ptr.To(int32(10)) },
		func(s *State) { s.Set.Spec.UpdateStrategy.RollingUpdate = nil },
		func(s *State) {
			s.Set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
		},
		func(s *State) {
			if rolling := s.Set.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
				rolling.Partition = ptr.To(int32(0))
			}
		},
		func(s *State) { s.Set.Spec.PodManagementPolicy = appsv1.OrderedReadyPodManagement },
		func(s *State) {
			s.Set.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
		},
		func(s *State) {
			s.Set.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
		},
		func(s *State) { s.Set.Spec.ServiceName, s.Set.Annotations, s.Set.DeletionTimestamp = "", nil, nil },
		func(s *State) { s.Set.Status.Conditions, s.Set.Status.CollisionCount = nil, nil },
		func(s *State) {
			st := &s.Set.Status
			st.Replicas, st.ReadyReplicas, st.AvailableReplicas, st.UpdatedReplicas = 0, 0, 0, 0
		},
		func(s *State) { s.Set.Status.CurrentReplicas = 0 },
		func(s *State) { s.Set.Status.CurrentRevision = s.Set.Status.UpdateRevision },
	}
}
