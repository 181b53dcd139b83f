package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/history"
	"k8s.io/kubernetes/pkg/controller/statefulset"
	"k8s.io/kubernetes/pkg/controller/util/consistency"
)

var kind = appsv1.SchemeGroupVersion.WithKind("StatefulSet")

// answer lets one sync run. What it reads is never behind what it wrote.
func answer(s *State) *Answer {
	api := newAPI(s)
	if err := oneSync(context.Background(), api, s); err != nil {
		api.answer.Error = err.Error()
	}
	return &api.answer
}

// oneSync does with upstream's parts what upstream's controller does with a key.
func oneSync(ctx context.Context, api *api, s *State) error {
	pods := corelisters.NewPodLister(api.pods)
	control := statefulset.NewDefaultStatefulSetControl(
		statefulset.NewStatefulPodControl(api, pods, corelisters.NewPersistentVolumeClaimLister(api.claims), api, &consistency.NoopConsistencyStore{}),
		statefulset.NewRealStatefulSetStatusUpdater(api, appslisters.NewStatefulSetLister(api.sets), &consistency.NoopConsistencyStore{}),
		history.NewHistory(api, appslisters.NewControllerRevisionLister(api.revisions), nil),
	)
	set := s.Set.DeepCopy()
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return err
	}
	mayAdopt := controller.RecheckDeletionTimestamp(func(ctx context.Context) (metav1.Object, error) { return set, nil })
	revisions, err := control.ListRevisions(set)
	if err != nil {
		return err
	}
	var orphans []*appsv1.ControllerRevision
	for _, rev := range revisions {
		if metav1.GetControllerOf(rev) == nil {
			orphans = append(orphans, rev)
		}
	}
	if len(orphans) > 0 {
		if err := mayAdopt(ctx); err != nil {
			return fmt.Errorf("can't adopt ControllerRevisions: %v", err)
		}
		if err := control.AdoptOrphanRevisions(set, orphans); err != nil {
			return err
		}
	}
	candidates, err := pods.Pods(set.Namespace).List(labels.Everything())
	if err != nil {
		return err
	}
	claimer := controller.NewPodControllerRefManager(controller.RealPodControl{KubeClient: api, Recorder: api}, set, selector, kind, mayAdopt)
	claimed, err := claimer.ClaimPods(ctx, candidates, func(pod *corev1.Pod) bool { return memberOf(set, pod.Name) })
	if err != nil {
		return err
	}
	_, err = control.UpdateStatefulSet(ctx, set, claimed, s.Now.Time)
	return err
}

// memberOf reports whether the name is the set's with a number behind a dash.
func memberOf(set *appsv1.StatefulSet, name string) bool {
	digits := len(name)
	for digits > 0 && name[digits-1] >= '0' && name[digits-1] <= '9' {
		digits--
	}
	return digits < len(name) && digits > 0 && name[digits-1] == '-' && name[:digits-1] == set.Name
}
