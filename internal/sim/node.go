package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/daemonset"
)

// node is a toy node: it starts the containers of its pods, makes them ready,
// and stops them. What an image is called says how it behaves: "bad" is never
// pulled, "crash" starts and dies, "unready" runs without ever being ready, the
// pod of "fails" fails for good, that of "done" does its work and ends, that of
// "flaky" does so mostly.
type node struct {
	name    string
	silent  bool
	running map[types.UID]types.NamespacedName
}

func newNode(name string) *node {
	return &node{name: name, running: map[types.UID]types.NamespacedName{}}
}

var (
	podGVK   = corev1.SchemeGroupVersion.WithKind("Pod")
	claimGVK = corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")
)

// pods are all pods in a fixed order. They are shared: copy before changing.
func (s *Sim) pods() []*corev1.Pod {
	objects := sorted(s.store.kind(podGVK).objects)
	pods := make([]*corev1.Pod, len(objects))
	for i := range objects {
		pods[i] = objects[i].(*corev1.Pod)
	}
	return pods
}

// node returns the toy node that a pod is bound to, or nil.
func (s *Sim) node(pod *corev1.Pod) *node {
	for _, n := range s.nodes {
		if n.name == pod.Spec.NodeName {
			return n
		}
	}
	return nil
}

func (s *Sim) nodeMoves() []move {
	var all []move
	known := map[types.UID]bool{}
	for _, pod := range s.pods() {
		known[pod.UID] = true
		if do := s.podMove(pod); do != nil {
			all = append(all, move{2, do})
		}
	}
	for _, n := range s.nodes {
		if n.silent {
			continue
		}
		for _, uid := range slices.Sorted(maps.Keys(n.running)) {
			if !known[uid] { // its object is gone: stop it, whatever the order
				all = append(all, move{2, func() {
					s.log("%s: stops %s, whose pod is gone", n.name, n.running[uid].Name)
					delete(n.running, uid)
				}})
			}
		}
		for _, uid := range s.noted(n) {
			if _, runs := n.running[uid]; !known[uid] && !runs {
				all = append(all, move{2, s.unmount(n, uid)})
			}
		}
	}
	return all
}

// podMove is what may happen to a pod next, nil for nothing.
func (s *Sim) podMove(pod *corev1.Pod) func() {
	n := s.node(pod)
	switch {
	case n == nil && pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil:
		if s.config.NoToyScheduler || !s.claimsExist(pod) || len(s.nodesFor(pod)) == 0 {
			return nil
		}
		return func() { s.schedule(pod) }
	case n == nil && pod.DeletionTimestamp != nil && !ended(pod):
		return func() { // as the collector of pods does
			s.log("toy pod collector: %s ends", pod.Name)
			next := pod.DeepCopy()
			next.Status.Phase = corev1.PodFailed
			s.putStatus(next)
		}
	case n == nil || n.silent:
		return nil
	case pod.DeletionTimestamp != nil && ended(pod) && slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer):
		return nil // its job has not counted it yet
	case pod.DeletionTimestamp != nil:
		if _, running := n.running[pod.UID]; !running {
			if do := s.unmount(n, pod.UID); do != nil {
				return do
			}
		}
		return func() { s.stop(n, pod) }
	case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		return s.unmount(n, pod.UID)
	case pod.Status.Phase != corev1.PodRunning:
		if ready, do := s.mount(n, pod); !ready {
			return do
		}
		return s.start(n, pod)
	case unanswered(pod) && !s.config.NoPullAhead:
		return func() { s.pullImages(n, pod) }
	case restarting(pod):
		return func() { s.restartContainer(n, pod) }
	case resizing(pod):
		return func() { s.resize(n, pod) }
	case !isReady(pod):
		return s.getReady(n, pod)
	}
	return nil
}

func (s *Sim) claimsExist(pod *corev1.Pod) bool {
	claims := s.store.kind(claimGVK).objects
	for i := range pod.Spec.Volumes {
		source := pod.Spec.Volumes[i].PersistentVolumeClaim
		if source != nil && claims[types.NamespacedName{Namespace: pod.Namespace, Name: source.ClaimName}] == nil {
			return false
		}
	}
	return true
}

// nodesFor are those that the pod may go to: a daemon names its own.
func (s *Sim) nodesFor(pod *corev1.Pod) []*node {
	pinned := daemonset.NodeOf(pod)
	if pinned == "" {
		return s.nodes
	}
	return slices.DeleteFunc(slices.Clone(s.nodes), func(n *node) bool { return n.name != pinned })
}

func (s *Sim) schedule(pod *corev1.Pod) {
	nodes := s.nodesFor(pod)
	n := nodes[s.rand.IntN(len(nodes))]
	s.log("toy scheduler: binds %s to %s", pod.Name, n.name)
	if _, err := s.store.bind(podGVK, client.ObjectKeyFromObject(pod), pod.UID, n.name); err != nil {
		s.ignore(s.fail(err))
	}
}

func (s *Sim) start(n *node, pod *corev1.Pod) func() {
	if why := blockedBy(pod); why != "" {
		if waitingReason(pod) == why {
			return nil
		}
		return func() {
			s.log("%s: %s is in %s", n.name, pod.Name, why)
			s.putStatus(withWaiting(pod, why))
		}
	}
	return func() {
		s.log("%s: starts %s", n.name, pod.Name)
		n.running[pod.UID] = client.ObjectKeyFromObject(pod)
		next := pod.DeepCopy()
		next.Status.Phase = corev1.PodRunning
		next.Status.PodIP = fmt.Sprintf("10.42.0.%d", 2+s.store.version%250)
		next.Status.PodIPs = []corev1.PodIP{{IP: next.Status.PodIP}}
		next.Status.ContainerStatuses = containers(next, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.clock.Now())}})
		setCondition(next, corev1.PodReady, corev1.ConditionFalse, s.clock.Now())
		s.putStatus(next)
	}
}

func (s *Sim) getReady(n *node, pod *corev1.Pod) func() {
	image := pod.Spec.Containers[0].Image
	switch {
	case blockedBy(pod) != "", strings.Contains(image, "unready"):
		return nil
	case strings.Contains(image, "fails"):
		return func() {
			s.log("%s: %s fails", n.name, pod.Name)
			next := pod.DeepCopy()
			next.Status.Phase = corev1.PodFailed
			delete(n.running, pod.UID)
			s.putStatus(next)
		}
	case strings.Contains(image, "done"), strings.Contains(image, "flaky"):
		return func() { s.finish(n, pod, strings.Contains(image, "flaky") && chance(s.rand, 0.3)) }
	case strings.Contains(image, "crash"):
		if waitingReason(pod) == "CrashLoopBackOff" {
			return nil
		}
		return func() {
			s.log("%s: %s crashes", n.name, pod.Name)
			s.putStatus(withWaiting(pod, "CrashLoopBackOff"))
		}
	}
	return func() {
		s.log("%s: %s is ready", n.name, pod.Name)
		next := pod.DeepCopy()
		next.Status.ContainerStatuses = containers(next, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
		for i := range next.Status.ContainerStatuses {
			next.Status.ContainerStatuses[i].Ready = true
		}
		setCondition(next, corev1.PodReady, corev1.ConditionTrue, s.clock.Now())
		s.putStatus(next)
	}
}

// finish ends a pod by itself.
func (s *Sim) finish(n *node, pod *corev1.Pod, fails bool) {
	next := pod.DeepCopy()
	next.Status.Phase = corev1.PodSucceeded
	exit := &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(s.clock.Now())}
	if fails {
		next.Status.Phase, exit.ExitCode = corev1.PodFailed, 1
	}
	s.log("%s: %s ends, %s", n.name, pod.Name, next.Status.Phase)
	next.Status.ContainerStatuses = containers(next, corev1.ContainerState{Terminated: exit})
	delete(n.running, pod.UID)
	s.putStatus(next)
}

// stop ends a terminating pod: first its containers, then its object.
func (s *Sim) stop(n *node, pod *corev1.Pod) {
	job := slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer)
	if _, running := n.running[pod.UID]; running || job {
		s.log("%s: stops %s", n.name, pod.Name)
		delete(n.running, pod.UID)
		next := pod.DeepCopy()
		setCondition(next, corev1.PodReady, corev1.ConditionFalse, s.clock.Now())
		if job && !ended(pod) {
			next.Status.Phase = corev1.PodFailed
			if strings.Contains(pod.Spec.Containers[0].Image, "flaky") && chance(s.rand, 0.5) {
				next.Status.Phase = corev1.PodSucceeded // it ends well when it is told to stop
			}
		}
		s.putStatus(next)
		return
	}
	s.log("%s: %s is gone", n.name, pod.Name)
	options := &client.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0)), Preconditions: &metav1.Preconditions{UID: &pod.UID}}
	s.ignore(s.store.delete(podGVK, client.ObjectKeyFromObject(pod), options))
}

func (s *Sim) putStatus(pod *corev1.Pod) {
	if old := s.store.kind(podGVK).objects[client.ObjectKeyFromObject(pod)]; old != nil && old.GetUID() == pod.UID {
		s.store.put(podGVK, old, pod)
	}
}

// blockedBy is why the pod's first container cannot start, "" when it can.
func blockedBy(pod *corev1.Pod) string {
	if strings.Contains(pod.Spec.Containers[0].Image, "bad") {
		return "ImagePullBackOff"
	}
	return ""
}

func waitingReason(pod *corev1.Pod) string {
	if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Waiting == nil {
		return ""
	}
	return pod.Status.ContainerStatuses[0].State.Waiting.Reason
}

func withWaiting(pod *corev1.Pod, reason string) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Status.ContainerStatuses = containers(pod, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}})
	return pod
}

func containers(pod *corev1.Pod, state corev1.ContainerState) []corev1.ContainerStatus {
	statuses := make([]corev1.ContainerStatus, len(pod.Spec.Containers))
	for i := range pod.Spec.Containers {
		statuses[i] = corev1.ContainerStatus{Name: pod.Spec.Containers[i].Name, Image: pod.Spec.Containers[i].Image, State: state}
		if state.Running != nil {
			statuses[i].Resources = pod.Spec.Containers[i].Resources.DeepCopy()
			statuses[i].ContainerID = fmt.Sprintf("toy://%s-%s-%d", pod.UID, statuses[i].Image, pod.Generation)
		}
	}
	return statuses
}

func setCondition(pod *corev1.Pod, kind corev1.PodConditionType, status corev1.ConditionStatus, now time.Time) {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == kind {
			if c.Status != status {
				c.Status, c.LastTransitionTime = status, metav1.NewTime(now)
			}
			return
		}
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: metav1.NewTime(now)})
}

func isReady(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			return pod.Status.Conditions[i].Status == corev1.ConditionTrue
		}
	}
	return false
}

// onePodPerName is the guarantee that everything else rests on: containers of
// two pods of one name never run at once.
func (s *Sim) onePodPerName() error {
	seen := map[types.NamespacedName]types.UID{}
	for _, n := range s.nodes {
		for uid, key := range n.running {
			if other, twice := seen[key]; twice {
				return fmt.Errorf("pod %s runs twice, as %s and as %s", key, min(uid, other), max(uid, other))
			}
			seen[key] = uid
		}
	}
	return nil
}
