// Package autoscaling declares the kinds of autoscaling, one file each, and
// converts between the group's versions: v2 is stored and is the internal form.
package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"berth.dev/berth/internal/api/kind"
)

// Group is autoscaling.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{
			{GroupVersion: autoscalingv2.SchemeGroupVersion, Add: autoscalingv2.AddToScheme},
			{GroupVersion: autoscalingv1.SchemeGroupVersion, Add: autoscalingv1.AddToScheme},
		},
		Kinds: []kind.Kind{
			horizontalPodAutoscalerKind(),
			horizontalPodAutoscalerV1Kind(),
		},
		Internal: addInternal,
	}
}
