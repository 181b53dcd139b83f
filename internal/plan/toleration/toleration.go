// Package toleration says which taints of a node a pod puts up with.
package toleration

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// Untolerated is the first of the taints with one of these effects that no
// toleration is for, nil when there is none.
func Untolerated(tolerations []corev1.Toleration, taints []corev1.Taint, effects ...corev1.TaintEffect) *corev1.Taint {
	for i := range taints {
		if slices.Contains(effects, taints[i].Effect) && !Any(tolerations, &taints[i]) {
			return &taints[i]
		}
	}
	return nil
}

// Any reports whether one of the tolerations is for the taint.
func Any(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	return slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool { return Tolerates(&t, taint) })
}

// Tolerates reports whether the toleration is for the taint.
func Tolerates(t *corev1.Toleration, taint *corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		return t.Value == taint.Value
	case corev1.TolerationOpExists:
		return true
	case corev1.TolerationOpLt, corev1.TolerationOpGt:
		return compares(t.Operator, t.Value, taint.Value)
	}
	return false
}

// compares is true when the taint's number lies on the side that is tolerated.
func compares(op corev1.TolerationOperator, limit, value string) bool {
	l, err := strconv.ParseInt(limit, 10, 64)
	if err != nil {
		return false
	}
	v, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return false
	}
	if op == corev1.TolerationOpLt {
		return v < l
	}
	return v > l
}
