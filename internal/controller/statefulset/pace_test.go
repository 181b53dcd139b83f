package statefulset

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func TestAStatusWaitsForTheNextPassButNotForEver(t *testing.T) {
	p := &pace{sets: map[types.NamespacedName]paced{}}
	web, other := types.NamespacedName{Name: "web"}, types.NamespacedName{Name: "other"}
	now := time.Unix(1000, 0)
	if !p.mayWait(web, now) || !p.mayWait(web, now.Add(unsaidFor-1)) {
		t.Error("it was not allowed to wait")
	}
	if p.mayWait(web, now.Add(unsaidFor)) {
		t.Error("it waits although it has waited long enough")
	}
	if !p.mayWait(other, now.Add(unsaidFor)) {
		t.Error("another set has waited for nothing yet")
	}
	p.said(web, now, true)
	if !p.mayWait(web, now.Add(unsaidFor)) {
		t.Error("the status was written: the next one may wait again")
	}
}

func TestAStoredStatusStandsWhilePodsAreOnTheirWay(t *testing.T) {
	key := types.NamespacedName{Namespace: "default", Name: "web"}
	now := time.Unix(1000, 0)
	set := func(change ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
		s := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{PodManagementPolicy: appsv1.ParallelPodManagement, Replicas: ptr.To(int32(10))}}
		for _, f := range change {
			f(s)
		}
		return s
	}
	count := func(all, available, updated int32) appsv1.StatefulSetStatus {
		return appsv1.StatefulSetStatus{Replicas: all, AvailableReplicas: available, UpdatedReplicas: updated}
	}
	for name, c := range map[string]struct {
		set    *appsv1.StatefulSet
		next   appsv1.StatefulSetStatus
		stored time.Duration // before
		want   time.Duration
	}{
		"some are available":  {set(), count(10, 3, 10), 50 * time.Millisecond, 150 * time.Millisecond},
		"some are missing":    {set(), count(3, 3, 3), 0, 200 * time.Millisecond},
		"some are left over":  {set(), count(11, 10, 10), 0, 200 * time.Millisecond},
		"some are old":        {set(), count(10, 10, 9), 0, 200 * time.Millisecond},
		"all are as wanted":   {set(), count(10, 10, 10), 0, 0},
		"stored long ago":     {set(), count(10, 3, 10), 200 * time.Millisecond, 0},
		"in order":            {set(func(s *appsv1.StatefulSet) { s.Spec.PodManagementPolicy = appsv1.OrderedReadyPodManagement }), count(10, 3, 10), 0, 0},
		"is being deleted":    {set(func(s *appsv1.StatefulSet) { s.DeletionTimestamp = &metav1.Time{} }), count(10, 3, 10), 0, 0},
		"one, which is there": {set(func(s *appsv1.StatefulSet) { s.Spec.Replicas = nil }), count(1, 1, 1), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pace{sets: map[types.NamespacedName]paced{}}
			if got := p.stands(c.set, &c.next, key, now); got != 0 {
				t.Errorf("nothing was stored yet, and it stands for %s", got)
			}
			p.said(key, now, true)
			p.said(key, now.Add(time.Millisecond), false) // nothing was written
			if got := p.stands(c.set, &c.next, key, now.Add(c.stored)); got != c.want {
				t.Errorf("it stands for %s, want %s", got, c.want)
			}
		})
	}
}

func TestRest(t *testing.T) {
	key := types.NamespacedName{Namespace: "default", Name: "web"}
	now := time.Unix(1000, 0)
	parallel := appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{PodManagementPolicy: appsv1.ParallelPodManagement}}
	with := func(f func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
		set := parallel.DeepCopy()
		f(set)
		return set
	}
	for name, c := range map[string]struct {
		set  *appsv1.StatefulSet
		pods int
		busy bool
		at   time.Duration
		want time.Duration
	}{
		"many pods":        {set: &parallel, pods: 400, want: 40 * time.Millisecond},
		"some time ago":    {set: &parallel, pods: 400, at: 15 * time.Millisecond, want: 25 * time.Millisecond},
		"long ago":         {set: &parallel, pods: 400, at: time.Second},
		"very many":        {set: &parallel, pods: 100_000, want: 100 * time.Millisecond},
		"few pods":         {set: &parallel, pods: 99},
		"something to do":  {set: &parallel, pods: 400, busy: true},
		"in order":         {set: with(func(s *appsv1.StatefulSet) { s.Spec.PodManagementPolicy = appsv1.OrderedReadyPodManagement }), pods: 400},
		"changed":          {set: with(func(s *appsv1.StatefulSet) { s.Generation = 2 }), pods: 400},
		"is being deleted": {set: with(func(s *appsv1.StatefulSet) { s.DeletionTimestamp = &metav1.Time{} }), pods: 400},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pace{sets: map[types.NamespacedName]paced{}}
			if p.rest(c.set, key, now) != 0 {
				t.Error("the first pass waits")
			}
			p.ended(key, now, c.pods, !c.busy)
			if got := p.rest(c.set, key, now.Add(c.at)); got != c.want {
				t.Errorf("rests %s, want %s", got, c.want)
			}
			if p.forget(key); p.rest(c.set, key, now) != 0 {
				t.Error("a set of that name that is made anew waits")
			}
		})
	}
}
