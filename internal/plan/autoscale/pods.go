package autoscale

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcehelpers "k8s.io/component-helpers/resource"
)

// Measured is what is known of one metric.
type Measured struct {
	// Err is why nothing is known.
	Err error
	// Pods are the values of a metric of pods by the pods' names.
	Pods map[string]Value
	// Values are those of an object's metric, one, or of an external one, in
	// thousandths.
	Values []int64
}

// Value is a metric of a pod, in thousandths, during the Window before Time.
type Value struct {
	Milli  int64
	Time   time.Time
	Window time.Duration
}

// counted are pods by what their metric says.
type counted struct {
	values  map[string]int64 // of the pods that count
	ready   int
	unready []string // not ready, or too new for what was measured to mean anything
	missing []string // nothing was measured
}

// count sorts the pods. Those that are going or have failed count for nothing.
func (f *Facts) count(metric map[string]Value, resource corev1.ResourceName) counted {
	out := counted{values: make(map[string]int64, len(metric))}
	for name, v := range metric {
		out.values[name] = v.Milli
	}
	for _, pod := range f.Pods {
		value, measured := metric[pod.Name]
		switch {
		case pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed:
			delete(out.values, pod.Name)
		case pod.Status.Phase == corev1.PodPending:
			out.unready = append(out.unready, pod.Name)
		case !measured:
			out.missing = append(out.missing, pod.Name)
		case resource == corev1.ResourceCPU && f.starting(pod, value):
			out.unready = append(out.unready, pod.Name)
		default:
			out.ready++
		}
	}
	for _, name := range out.unready {
		delete(out.values, name)
	}
	return out
}

// starting reports whether the use of processors by a pod is that of its start.
func (f *Facts) starting(pod *corev1.Pod, v Value) bool {
	ready := readiness(pod)
	if ready == nil || pod.Status.StartTime == nil {
		return true
	}
	begun, since := pod.Status.StartTime.Time, ready.LastTransitionTime.Time
	if begun.Add(f.Settings.CPUInitialization).After(f.Now) {
		return ready.Status == corev1.ConditionFalse || v.Time.Before(since.Add(v.Window))
	}
	return ready.Status == corev1.ConditionFalse && begun.Add(f.Settings.InitialReadiness).After(since)
}

func readiness(pod *corev1.Pod) *corev1.PodCondition {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
	if i < 0 {
		return nil
	}
	return &pod.Status.Conditions[i]
}

// readyPods counts the pods that run and are ready.
func (f *Facts) readyPods() (int, error) {
	if len(f.Pods) == 0 {
		return 0, errNoPods
	}
	n := 0
	for _, pod := range f.Pods {
		if ready := readiness(pod); pod.Status.Phase == corev1.PodRunning && ready != nil && ready.Status == corev1.ConditionTrue {
			n++
		}
	}
	return n, nil
}

// requests are what the pods, or one container of each, ask for, in thousandths.
func (f *Facts) requests(container string, resource corev1.ResourceName) (map[string]int64, error) {
	out := make(map[string]int64, len(f.Pods))
	for _, pod := range f.Pods {
		var milli int64
		var err error
		if container == "" && resourcehelpers.IsPodLevelRequestsSet(pod) {
			milli, err = wholeRequest(pod, resource)
		} else {
			milli, err = containerRequests(pod, container, resource)
		}
		if err != nil {
			return nil, err
		}
		out[pod.Name] = milli
	}
	return out, nil
}

func wholeRequest(pod *corev1.Pod, resource corev1.ResourceName) (int64, error) {
	q, ok := resourcehelpers.PodRequests(pod, resourcehelpers.PodResourcesOptions{})[resource]
	if !ok {
		return 0, fmt.Errorf("missing pod-level request for %s in Pod %s", resource, pod.Name)
	}
	return q.MilliValue(), nil
}

// containerRequests sums up what the containers ask for that run as long as the pod.
func containerRequests(pod *corev1.Pod, container string, resource corev1.ResourceName) (int64, error) {
	all := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	var sum int64
	found := container == ""
	for _, c := range all {
		if container != "" && c.Name != container {
			continue
		}
		q, ok := c.Resources.Requests[resource]
		if !ok {
			return 0, fmt.Errorf("missing request for %s in container %s of Pod %s", resource, c.Name, pod.Name)
		}
		found = true
		sum += q.MilliValue()
	}
	if !found {
		return 0, fmt.Errorf("container %s not found in Pod %s", container, pod.Name)
	}
	return sum, nil
}

// ratio is how a metric stands to its target.
type ratio struct {
	of      float64
	percent int32 // of what is requested, if the target is
	average int64 // in thousandths
}

// plain compares the average with a target, both in thousandths.
func plain(target int64) func(map[string]int64) (ratio, error) {
	return func(values map[string]int64) (ratio, error) {
		average := total(values) / int64(len(values))
		return ratio{of: float64(average) / float64(target), average: average}, nil
	}
}

// utilization compares with a percentage of what is requested.
func utilization(requests map[string]int64, target int32) func(map[string]int64) (ratio, error) {
	return func(values map[string]int64) (ratio, error) {
		var used, requested, n int64
		for name, v := range values {
			if request, known := requests[name]; known {
				used, requested, n = used+v, requested+request, n+1
			}
		}
		if requested == 0 {
			return ratio{}, errNoKnown
		}
		percent := int32(used * 100 / requested)
		return ratio{of: float64(percent) / float64(target), percent: percent, average: used / n}, nil
	}
}

func total(values map[string]int64) int64 {
	var sum int64
	for v := range maps.Values(values) {
		sum += v
	}
	return sum
}
