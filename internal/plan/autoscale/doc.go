// Package autoscale decides how many replicas the target of a
// HorizontalPodAutoscaler should have, and what its status says.
//
// A pass has three steps. Look says whether metrics are needed. Decide takes
// them and says how many replicas there should be. When the target has been
// told, or has refused, Finish makes the status and what is to be remembered of
// it all.
//
// Reasons, messages and arithmetic are upstream's. Scaling to zero by the
// autoscaler itself is off, as in Kubernetes: a target with no replicas is left
// alone.
package autoscale
