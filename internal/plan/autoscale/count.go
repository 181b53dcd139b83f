package autoscale

import (
	"errors"
	"math"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
)

var (
	errNoPods    = errors.New("no pods returned by selector while calculating replica count")
	errNoMetrics = errors.New("did not receive metrics for targeted pods (pods might be unready)")
	errNoKnown   = errors.New("no metrics returned matched known pods")
)

// within reports whether a metric is as near to its target as may be.
func (f *Facts) within(ratio float64) bool {
	down, up := f.Settings.Tolerance, f.Settings.Tolerance
	if b := f.HPA.Spec.Behavior; b != nil {
		if b.ScaleDown != nil && b.ScaleDown.Tolerance != nil {
			down = b.ScaleDown.Tolerance.AsApproximateFloat64()
		}
		if b.ScaleUp != nil && b.ScaleUp.Tolerance != nil {
			up = b.ScaleUp.Tolerance.AsApproximateFloat64()
		}
	}
	return 1-down <= ratio && ratio <= 1+up
}

// replicas is the number with which a metric of pods would be on its target.
// Where pods are missing from the metric the number errs on the side of the
// present one: filler is the use that they are thought to have when the target
// would shrink; when it would grow it is none.
func (f *Facts) replicas(c counted, compare func(map[string]int64) (ratio, error), filler func(pod string) int64) (int32, ratio, error) {
	current := f.Scale.Spec.Replicas
	first, err := compare(c.values)
	if err != nil {
		return 0, first, err
	}
	grows := first.of > 1
	if len(c.missing) == 0 && (len(c.unready) == 0 || !grows) {
		if f.within(first.of) {
			return current, first, nil
		}
		return ceil(first.of * float64(c.ready)), first, nil
	}
	switch {
	case first.of < 1:
		for _, name := range c.missing {
			c.values[name] = filler(name)
		}
	case grows:
		for _, name := range c.missing {
			c.values[name] = 0
		}
		for _, name := range c.unready {
			c.values[name] = 0
		}
	}
	second, err := compare(c.values)
	if err != nil {
		return 0, first, err
	}
	if f.within(second.of) || first.of < 1 && second.of > 1 || grows && second.of < 1 {
		return current, first, nil
	}
	n := ceil(second.of * float64(len(c.values)))
	if second.of < 1 && n > current || second.of > 1 && n < current {
		return current, first, nil
	}
	return n, first, nil
}

// byRatio is the number of ready pods times the ratio.
func (f *Facts) byRatio(of float64) (int32, error) {
	current := f.Scale.Spec.Replicas
	if f.within(of) {
		return current, nil
	}
	ready, err := f.readyPods()
	if err != nil {
		return 0, err
	}
	return ceil(of * float64(ready)), nil
}

// perPod divides what is used among pods of which each takes so much; the
// second result is what each takes now.
func (f *Facts) perPod(used, each int64) (int32, int64) {
	n := f.Scale.Status.Replicas
	replicas := n
	if !f.within(float64(used) / (float64(each) * float64(n))) {
		replicas = ceil(float64(used) / float64(each))
	}
	if n == 0 || used == math.MaxInt64 {
		return replicas, used
	}
	return replicas, int64(math.Ceil(float64(used) / float64(n)))
}

func ceil(n float64) int32 {
	n = math.Ceil(n)
	switch {
	case math.IsNaN(n):
		return 0
	case n > math.MaxInt32:
		return math.MaxInt32
	}
	return int32(n)
}

// sum adds up without running over.
func sum(values []int64) int64 {
	var out int64
	for _, v := range values {
		if v > 0 && out > math.MaxInt64-v {
			return math.MaxInt64
		}
		out += v
	}
	return out
}

// ofResource is the number for a target of a pod's, or a container's, resource.
func (f *Facts) ofResource(m Measured, target *autoscalingv2.MetricTarget, resource corev1.ResourceName, container string) (int32, ratio, error) {
	if len(f.Pods) == 0 {
		return 0, ratio{}, errNoPods
	}
	c := f.count(m.Pods, resource)
	if len(c.values) == 0 {
		return 0, ratio{}, errNoMetrics
	}
	if target.AverageValue != nil {
		each := target.AverageValue.MilliValue()
		return f.replicas(c, plain(each), func(string) int64 { return each })
	}
	requests, err := f.requests(container, resource)
	if err != nil {
		return 0, ratio{}, err
	}
	percent := *target.AverageUtilization
	return f.replicas(c, utilization(requests, percent), func(pod string) int64 {
		return requests[pod] * int64(max(100, percent)) / 100
	})
}
