package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *findings) portNumber(p *field.Path, port int32) {
	f.messages(p, port, validation.IsValidPortNum(int(port)))
}

func (f *findings) portNumberOrName(p *field.Path, port intstr.IntOrString) {
	switch port.Type {
	case intstr.Int:
		f.messages(p, port.IntValue(), validation.IsValidPortNum(port.IntValue()))
	case intstr.String:
		f.messages(p, port.StrVal, validation.IsValidPortName(port.StrVal))
	default:
		f.add(field.InternalError(p, fmt.Errorf("unknown type: %v", port.Type)))
	}
}

func (f *findings) protocol(p *field.Path, protocol corev1.Protocol) {
	setAndAmong(f, p, protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
}

func (f *findings) containerPorts(p *field.Path, ports []corev1.ContainerPort) {
	used := names{}
	for i := range ports {
		port, p := &ports[i], p.Index(i)
		if port.Name != "" {
			if m := validation.IsValidPortName(port.Name); len(m) > 0 {
				f.messages(p.Child("name"), port.Name, m)
			} else if !used.use(port.Name) {
				f.add(field.Duplicate(p.Child("name"), port.Name))
			}
		}
		if port.ContainerPort == 0 {
			f.required(p.Child("containerPort"), "")
		} else {
			f.portNumber(p.Child("containerPort"), port.ContainerPort)
		}
		if port.HostPort != 0 {
			f.portNumber(p.Child("hostPort"), port.HostPort)
		}
		f.protocol(p.Child("protocol"), port.Protocol)
	}
}

// hostPorts refuses two containers that want the same port of the host.
func (f *findings) hostPorts(p *field.Path, containers []corev1.Container) {
	var used names
	for i := range containers {
		for j := range containers[i].Ports {
			port := &containers[i].Ports[j]
			if port.HostPort == 0 {
				continue
			}
			if used == nil {
				used = names{}
			}
			key := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
			if !used.use(key) {
				f.add(field.Duplicate(p.Index(i).Child("ports").Index(j).Child("hostPort"), key))
			}
		}
	}
}

// hostNetworkPorts wants the same port inside and outside where a pod has no
// network of its own. A template may leave the outer one to defaulting.
func (f *findings) hostNetworkPorts(p *field.Path, containers []corev1.Container, isPod bool) {
	for i := range containers {
		for j, port := range containers[i].Ports {
			if (isPod || port.HostPort != 0) && port.HostPort != port.ContainerPort {
				f.invalid(p.Index(i).Child("ports").Index(j).Child("hostPort"), port.HostPort,
					"must match `containerPort` when `hostNetwork` is true")
			}
		}
	}
}
