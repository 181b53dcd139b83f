package admit

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// safeSysctls are those that a pod has for itself and that cannot harm others.
var safeSysctls = []string{
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_wmem",
}

// sysctls refuses those that are not safe, unless the node's owner allows them.
func sysctls(node Node, pod *corev1.Pod) *Refusal {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		if why := forbidden(node, pod, strings.ReplaceAll(s.Name, "/", ".")); why != "" {
			return &Refusal{Reason: "SysctlForbidden", Message: fmt.Sprintf("forbidden sysctl: %q %s", s.Name, why)}
		}
	}
	return nil
}

func forbidden(node Node, pod *corev1.Pod, name string) string {
	allowed := slices.ContainsFunc(slices.Concat(safeSysctls, node.UnsafeSysctls), func(pattern string) bool {
		prefix, many := strings.CutSuffix(pattern, "*")
		return name == pattern || many && strings.HasPrefix(name, prefix)
	})
	switch {
	case !allowed:
		return "not allowlisted"
	case pod.Spec.HostNetwork && strings.HasPrefix(name, "net."):
		return "not allowed with host net enabled"
	case pod.Spec.HostIPC && ipc(name):
		return "not allowed with host ipc enabled"
	}
	return ""
}

func ipc(name string) bool {
	return strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") || name == "kernel.sem" || strings.HasPrefix(name, "fs.mqueue.")
}
