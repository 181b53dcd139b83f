package status

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/plan/podsync"
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
	// making is how long a status is held back that says nothing but that the pod
	// is being made. Most pods run by then, and one write says all: it costs
	// processor at the moment when their containers start.
	making = 100 * time.Millisecond
)

// Writer writes the status of one pod. While a write is under way newer
// statuses replace one another; only the newest is written next.
type Writer struct {
	client kubernetes.Interface
	clock  clock.Clock
	log    *slog.Logger

	mu      sync.Mutex
	pod     *corev1.Pod // what the API has, as far as is known
	want    *corev1.PodStatus
	writing bool
	gone    bool
	idle    chan struct{} // closed when no write is under way
	held    chan struct{} // closed when a status that is held back has to be written
}

// New makes the writer of one pod.
func New(client kubernetes.Interface, clock clock.Clock, log *slog.Logger) *Writer {
	idle := make(chan struct{})
	close(idle)
	return &Writer{client: client, clock: clock, log: log, idle: idle}
}

// Set asks for the status to be written; pod is the newest the caller has seen.
// It never blocks. The write goes on until it succeeds, is overtaken, or ctx ends.
func (w *Writer) Set(ctx context.Context, pod *corev1.Pod, want corev1.PodStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return
	}
	if w.pod == nil || newer(pod, w.pod) {
		w.pod = pod
	}
	w.want = &want
	if !beingMade(want) {
		w.release()
	}
	if w.writing || equality.Semantic.DeepEqual(w.pod.Status, want) {
		return
	}
	w.writing = true
	w.idle = make(chan struct{})
	if !beingMade(want) {
		go w.write(ctx)
		return
	}
	held := make(chan struct{})
	w.held = held
	go func() {
		select {
		case <-held:
		case <-w.clock.After(making):
		case <-ctx.Done():
		}
		w.write(ctx)
	}()
}

// release has what is held back written. The lock is held.
func (w *Writer) release() {
	if w.held != nil {
		close(w.held)
		w.held = nil
	}
}

// beingMade tells whether a status says only that containers will come.
func beingMade(s corev1.PodStatus) bool {
	if s.Phase != corev1.PodPending || s.Reason != "" || len(s.EphemeralContainerStatuses) > 0 {
		return false
	}
	for _, c := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses) {
		if w := c.State.Waiting; w == nil || w.Reason != podsync.ContainerCreating && w.Reason != podsync.PodInitializing || c.LastTerminationState.Terminated != nil {
			return false
		}
	}
	return len(s.ContainerStatuses) > 0
}

// Flush waits until nothing is left to be written.
func (w *Writer) Flush(ctx context.Context) {
	w.mu.Lock()
	w.release()
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

func (w *Writer) write(ctx context.Context) {
	retry := firstRetry
	for {
		w.mu.Lock()
		if w.gone || ctx.Err() != nil || equality.Semantic.DeepEqual(w.pod.Status, *w.want) {
			w.writing = false
			close(w.idle)
			w.mu.Unlock()
			return
		}
		pod, want := w.pod, *w.want
		w.mu.Unlock()

		written, err := Patch(ctx, w.client, pod, want)
		switch {
		case err == nil:
			retry = firstRetry
			w.mu.Lock()
			if !newer(w.pod, written) {
				w.pod = written
			}
			if equality.Semantic.DeepEqual(*w.want, want) {
				// What the server made of it (a field it drops) is not for us to fight over.
				w.pod = w.pod.DeepCopy()
				w.pod.Status = want
			}
			w.mu.Unlock()
			continue
		case apierrors.IsNotFound(err), apierrors.IsConflict(err):
			// Gone, or replaced by another pod of the same name.
			w.mu.Lock()
			w.gone = true
			w.mu.Unlock()
			continue
		}
		w.log.Warn("writing a pod's status failed, trying again", "pod", pod.Namespace+"/"+pod.Name, "in", retry, "error", err)
		select {
		case <-ctx.Done():
		case <-w.clock.After(retry):
		}
		retry = min(2*retry, lastRetry)
	}
}

func newer(a, b *corev1.Pod) bool {
	x, errX := strconv.ParseUint(a.ResourceVersion, 10, 64)
	y, errY := strconv.ParseUint(b.ResourceVersion, 10, 64)
	return errX != nil || errY != nil || x > y
}

// Patch writes what differs between the pod's status and the wanted one. The
// conditions of others stay as they are: what is wanted may have been thought out
// before they came.
func Patch(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, want corev1.PodStatus) (*corev1.Pod, error) {
	theirs := func(c corev1.PodCondition) bool { return !podsync.Ours(c.Type) && c.Type != corev1.DisruptionTarget }
	want.Conditions = slices.Concat(
		slices.DeleteFunc(slices.Clone(pod.Status.Conditions), func(c corev1.PodCondition) bool { return !theirs(c) }),
		slices.DeleteFunc(slices.Clone(want.Conditions), theirs))
	before, err := json.Marshal(corev1.Pod{Status: pod.Status})
	if err != nil {
		return nil, fmt.Errorf("encoding the status of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	after, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: pod.UID}, Status: want})
	if err != nil {
		return nil, fmt.Errorf("encoding the status of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("comparing statuses of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
}
