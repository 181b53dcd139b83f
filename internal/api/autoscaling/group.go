// Package autoscaling declares the kinds of autoscaling, one file each.
package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is autoscaling.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: autoscalingv1.SchemeGroupVersion, Add: autoscalingv1.AddToScheme}},
	}
}
