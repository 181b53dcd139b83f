package podspec_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/podspec"
)

func TestPortMappings(t *testing.T) {
	ports := []corev1.ContainerPort{
		{ContainerPort: 80},
		{ContainerPort: 80, HostPort: 8080},
		{ContainerPort: 53, HostPort: 53, Protocol: corev1.ProtocolUDP, HostIP: "192.0.2.1"},
		{ContainerPort: 54, HostPort: 54, Protocol: corev1.ProtocolSCTP, HostIP: "0.0.0.0"},
		{ContainerPort: 55, HostPort: 55, HostIP: "::"},
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Ports: ports[1:]}}, InitContainers: []corev1.Container{{Name: "side", Ports: ports[:1]}}}}
	got := ""
	for _, m := range podspec.PortMappings(pod, []string{"10.42.0.2", "fd00::2"}) {
		got += fmt.Sprintln(m.HostIP, m.HostPort, m.Protocol, m.Pod, m.Port)
	}
	want := `invalid IP 8080 6 10.42.0.2 80
invalid IP 8080 6 fd00::2 80
192.0.2.1 53 17 10.42.0.2 53
invalid IP 54 132 10.42.0.2 54
invalid IP 55 6 fd00::2 55
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	pod.Spec.HostNetwork = true
	if got := podspec.PortMappings(pod, []string{"10.42.0.2"}); got != nil {
		t.Errorf("on the host's network: %v", got)
	}
}
