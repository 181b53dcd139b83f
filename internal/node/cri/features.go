package cri

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Handlers are the ways to run a container that the runtime offers, as a node's
// status lists them; "" is the default one.
func Handlers(st *runtimeapi.StatusResponse) []corev1.NodeRuntimeHandler {
	var out []corev1.NodeRuntimeHandler
	for _, h := range st.GetRuntimeHandlers() {
		recursive, users := h.GetFeatures().GetRecursiveReadOnlyMounts(), h.GetFeatures().GetUserNamespaces()
		out = append(out, corev1.NodeRuntimeHandler{Name: h.Name, Features: &corev1.NodeRuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: &recursive, UserNamespaces: &users,
		}})
	}
	slices.SortFunc(out, func(a, b corev1.NodeRuntimeHandler) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Features are what the runtime can do whatever the handler.
func Features(st *runtimeapi.StatusResponse) *corev1.NodeFeatures {
	if st.GetFeatures() == nil {
		return nil
	}
	groups := st.Features.SupplementalGroupsPolicy
	return &corev1.NodeFeatures{SupplementalGroupsPolicy: &groups}
}
