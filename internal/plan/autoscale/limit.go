package autoscale

import (
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

const (
	withinRange  = "the desired count is within the acceptable range"
	tooFast      = "the desired replica count is increasing faster than the maximum scale rate"
	tooFastDown  = "the desired replica count is decreasing faster than the maximum scale rate"
	tooMany      = "the desired replica count is more than the maximum replica count"
	tooFew       = "the desired replica count is less than the minimum replica count"
	wereHigher   = "recent recommendations were higher than current one, applying the highest recent recommendation"
	wereLower    = "recent recommendations were lower than current one, applying the lowest recent recommendation"
	matchesSize  = "recommended size matches current size"
	leastScaleUp = 4 // replicas that are always allowed at once without a behavior
)

// limited is a number within limits, and which of them was in the way.
type limited struct {
	replicas        int32
	reason, message string
}

// normalize keeps what the metrics ask for from shaking the target, and within
// its limits.
func (p *Plan) normalize(f Facts, wanted int32) int32 {
	var steady limited
	var final limited
	if f.HPA.Spec.Behavior == nil {
		steady = p.steady(f, wanted)
		final = p.limit(f, steady.replicas)
	} else {
		steady = p.steadyByRules(f, wanted)
		final = p.limitByRules(f, steady.replicas)
	}
	if steady.replicas == wanted {
		steady.reason, steady.message = "ReadyForNewScale", matchesSize
	}
	p.set(autoscalingv2.AbleToScale, corev1.ConditionTrue, steady.reason, steady.message)
	isLimited := corev1.ConditionTrue
	if final.replicas == steady.replicas {
		isLimited = corev1.ConditionFalse
	}
	p.set(autoscalingv2.ScalingLimited, isLimited, final.reason, final.message)
	return final.replicas
}

// steady is the highest of the recent recommendations.
func (p *Plan) steady(f Facts, wanted int32) limited {
	out := limited{wanted, "ScaleDownStabilized", wereHigher}
	cutoff := f.Now.Add(-f.Settings.DownscaleStabilization)
	for _, r := range p.memory.Recommendations {
		if !r.At.Before(cutoff) {
			out.replicas = max(out.replicas, r.Replicas)
		}
	}
	p.memory.recommend(wanted, f.Now)
	return out
}

// limit keeps to the limits of an autoscaler without a behavior: at most twice
// as many at once, or four.
func (p *Plan) limit(f Facts, wanted int32) limited {
	least, most := minimum(f.HPA), f.HPA.Spec.MaxReplicas
	above := limited{most, "TooManyReplicas", tooMany}
	if double := max(2*int64(p.current), leastScaleUp); int64(most) > double {
		above = limited{int32(double), "ScaleUpLimit", tooFast}
	}
	switch {
	case wanted < least:
		return limited{least, "TooFewReplicas", tooFew}
	case wanted > above.replicas:
		return above
	}
	return limited{wanted, "DesiredWithinRange", withinRange}
}

// steadyByRules keeps the current number as long as it is between the lowest
// recommendation of the window for growing and the highest of that for shrinking.
func (p *Plan) steadyByRules(f Facts, wanted int32) limited {
	up, down := f.HPA.Spec.Behavior.ScaleUp, f.HPA.Spec.Behavior.ScaleDown
	upWindow, downWindow := time.Duration(0), f.Settings.DownscaleStabilization
	if up != nil && up.StabilizationWindowSeconds != nil {
		upWindow = time.Duration(*up.StabilizationWindowSeconds) * time.Second
	}
	if down != nil && down.StabilizationWindowSeconds != nil {
		downWindow = time.Duration(*down.StabilizationWindowSeconds) * time.Second
	}
	lowest, highest := wanted, wanted
	for _, r := range p.memory.Recommendations {
		if r.At.After(f.Now.Add(-upWindow)) {
			lowest = min(lowest, r.Replicas)
		}
		if r.At.After(f.Now.Add(-downWindow)) {
			highest = max(highest, r.Replicas)
		}
	}
	p.memory.recommend(wanted, f.Now)
	out := limited{min(max(p.current, lowest), highest), "ScaleDownStabilized", wereHigher}
	if wanted >= p.current {
		out.reason, out.message = "ScaleUpStabilized", wereLower
	}
	return out
}

// limitByRules keeps to the policies and to the smallest and largest number.
func (p *Plan) limitByRules(f Facts, wanted int32) limited {
	switch {
	case wanted > p.current:
		above := limited{f.HPA.Spec.MaxReplicas, "TooManyReplicas", tooMany}
		if rate := max(p.mostByRules(f), p.current); rate < above.replicas {
			above = limited{rate, "ScaleUpLimit", tooFast}
		}
		if wanted > above.replicas {
			return above
		}
	case wanted < p.current:
		below := limited{minimum(f.HPA), "TooFewReplicas", tooFew}
		if rate := min(p.leastByRules(f), p.current); rate > below.replicas {
			below = limited{rate, "ScaleDownLimit", tooFastDown}
		}
		if wanted < below.replicas {
			return below
		}
	}
	return limited{wanted, "DesiredWithinRange", withinRange}
}

// mostByRules is the largest number that the policies for growing allow.
func (p *Plan) mostByRules(f Facts) int32 {
	rules := ptr.Deref(f.HPA.Spec.Behavior.ScaleUp, autoscalingv2.HPAScalingRules{})
	return p.byPolicies(f, rules, func(start int32, policy autoscalingv2.HPAScalingPolicy) float64 {
		if policy.Type == autoscalingv2.PercentScalingPolicy {
			// Rounded up, or a small number would never grow.
			return math.Ceil(float64(start) * (1 + float64(policy.Value)/100))
		}
		return float64(start) + float64(policy.Value)
	}, autoscalingv2.MaxChangePolicySelect)
}

// leastByRules is the smallest number that the policies for shrinking allow.
func (p *Plan) leastByRules(f Facts) int32 {
	rules := ptr.Deref(f.HPA.Spec.Behavior.ScaleDown, autoscalingv2.HPAScalingRules{})
	return p.byPolicies(f, rules, func(start int32, policy autoscalingv2.HPAScalingPolicy) float64 {
		if policy.Type == autoscalingv2.PercentScalingPolicy {
			return math.Trunc(float64(start) * (1 - float64(policy.Value)/100))
		}
		return float64(start) - float64(policy.Value)
	}, autoscalingv2.MinChangePolicySelect)
}

// byPolicies returns one of what the policies allow: the largest if the rules'
// choice is highest, else the smallest.
func (p *Plan) byPolicies(f Facts, rules autoscalingv2.HPAScalingRules, allows func(int32, autoscalingv2.HPAScalingPolicy) float64, highest autoscalingv2.ScalingPolicySelect) int32 {
	choice := ptr.Deref(rules.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if choice == autoscalingv2.DisabledPolicySelect {
		return p.current
	}
	chosen, better := math.Inf(1), math.Min
	if choice == highest {
		chosen, better = math.Inf(-1), math.Max
	}
	for _, policy := range rules.Policies {
		chosen = better(chosen, allows(p.memory.before(p.current, policy.PeriodSeconds, f.Now), policy))
	}
	return int32(min(max(chosen, math.MinInt32), math.MaxInt32))
}
