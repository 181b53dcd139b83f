package autoscaling

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
)

// bareBehavior is a behavior as v1's annotation has it: upstream writes its
// internal form, which has no names for JSON.
type bareBehavior struct{ ScaleUp, ScaleDown *bareRules }

type bareRules struct {
	StabilizationWindowSeconds *int32
	SelectPolicy               *autoscalingv2.ScalingPolicySelect
	Policies                   []barePolicy
	Tolerance                  *resource.Quantity
}

type barePolicy struct {
	Type          autoscalingv2.HPAScalingPolicyType
	Value         int32
	PeriodSeconds int32
}

func bare(b *autoscalingv2.HorizontalPodAutoscalerBehavior) bareBehavior {
	if b == nil {
		return bareBehavior{}
	}
	rules := func(r *autoscalingv2.HPAScalingRules) *bareRules {
		if r == nil {
			return nil
		}
		out := &bareRules{StabilizationWindowSeconds: r.StabilizationWindowSeconds, SelectPolicy: r.SelectPolicy, Tolerance: r.Tolerance}
		if r.Policies != nil {
			out.Policies = make([]barePolicy, len(r.Policies))
		}
		for i, p := range r.Policies {
			out.Policies[i] = barePolicy(p)
		}
		return out
	}
	return bareBehavior{ScaleUp: rules(b.ScaleUp), ScaleDown: rules(b.ScaleDown)}
}

func (b bareBehavior) dressed() *autoscalingv2.HorizontalPodAutoscalerBehavior {
	rules := func(r *bareRules) *autoscalingv2.HPAScalingRules {
		if r == nil {
			return nil
		}
		out := &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: r.StabilizationWindowSeconds, SelectPolicy: r.SelectPolicy, Tolerance: r.Tolerance}
		if r.Policies != nil {
			out.Policies = make([]autoscalingv2.HPAScalingPolicy, len(r.Policies))
		}
		for i, p := range r.Policies {
			out.Policies[i] = autoscalingv2.HPAScalingPolicy(p)
		}
		return out
	}
	return &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rules(b.ScaleUp), ScaleDown: rules(b.ScaleDown)}
}
