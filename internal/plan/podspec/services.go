package podspec

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ServiceVariables are the variables that tell a container of the services of
// its namespace (unless enableServiceLinks is false) and of the API server.
func ServiceVariables(pod *corev1.Pod, services []*corev1.Service) []Variable {
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	var out []Variable
	for _, s := range services {
		api := s.Namespace == corev1.NamespaceDefault && s.Name == "kubernetes"
		if !api && (!links || s.Namespace != pod.Namespace) {
			continue
		}
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
			continue
		}
		out = append(out, serviceVariables(s)...)
	}
	return out
}

func serviceVariables(s *corev1.Service) []Variable {
	name := variableName(s.Name)
	ip := s.Spec.ClusterIP
	out := []Variable{
		{name + "_SERVICE_HOST", ip},
		{name + "_SERVICE_PORT", strconv.Itoa(int(s.Spec.Ports[0].Port))},
	}
	for _, p := range s.Spec.Ports {
		if p.Name != "" {
			out = append(out, Variable{name + "_SERVICE_PORT_" + variableName(p.Name), strconv.Itoa(int(p.Port))})
		}
	}
	for i, p := range s.Spec.Ports {
		protocol := string(p.Protocol)
		if protocol == "" {
			protocol = string(corev1.ProtocolTCP)
		}
		port := strconv.Itoa(int(p.Port))
		url := fmt.Sprintf("%s://%s", strings.ToLower(protocol), hostPort(ip, port))
		prefix := fmt.Sprintf("%s_PORT_%s_%s", name, port, strings.ToUpper(protocol))
		if i == 0 {
			out = append(out, Variable{name + "_PORT", url})
		}
		out = append(out,
			Variable{prefix, url},
			Variable{prefix + "_PROTO", strings.ToLower(protocol)},
			Variable{prefix + "_PORT", port},
			Variable{prefix + "_ADDR", ip},
		)
	}
	return out
}

func variableName(s string) string {
	return strings.ToUpper(strings.ReplaceAll(s, "-", "_"))
}

// hostPort joins an address and a port; IPv6 addresses stand in brackets.
func hostPort(ip, port string) string {
	if strings.Contains(ip, ":") {
		ip = "[" + ip + "]"
	}
	return ip + ":" + port
}
