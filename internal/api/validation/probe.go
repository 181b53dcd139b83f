package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c *podCheck) probes(p *field.Path, ctr *corev1.Container) {
	if b := ctr.LivenessProbe; b != nil {
		c.probe(p.Child("livenessProbe"), b)
		c.oneSuccess(p.Child("livenessProbe"), b)
	}
	if b := ctr.ReadinessProbe; b != nil {
		c.probe(p.Child("readinessProbe"), b)
		if b.TerminationGracePeriodSeconds != nil {
			c.invalid(p.Child("readinessProbe", "terminationGracePeriodSeconds"), b.TerminationGracePeriodSeconds,
				"must not be set for readinessProbes")
		}
	}
	if b := ctr.StartupProbe; b != nil {
		c.probe(p.Child("startupProbe"), b)
		c.oneSuccess(p.Child("startupProbe"), b)
	}
}

func (c *podCheck) oneSuccess(p *field.Path, b *corev1.Probe) {
	if b.SuccessThreshold != 1 {
		c.invalid(p.Child("successThreshold"), b.SuccessThreshold, "must be 1")
	}
}

func (c *podCheck) probe(p *field.Path, b *corev1.Probe) {
	c.handler(p, handler{exec: b.Exec, httpGet: b.HTTPGet, tcpSocket: b.TCPSocket, grpc: b.GRPC})
	c.notNegative(p.Child("initialDelaySeconds"), int64(b.InitialDelaySeconds))
	c.notNegative(p.Child("timeoutSeconds"), int64(b.TimeoutSeconds))
	c.notNegative(p.Child("periodSeconds"), int64(b.PeriodSeconds))
	c.notNegative(p.Child("successThreshold"), int64(b.SuccessThreshold))
	c.notNegative(p.Child("failureThreshold"), int64(b.FailureThreshold))
	if g := b.TerminationGracePeriodSeconds; g != nil && *g <= 0 {
		c.invalid(p.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0")
	}
}

func (c *podCheck) lifecycle(p *field.Path, l *corev1.Lifecycle) {
	if h := l.PostStart; h != nil {
		c.handler(p.Child("postStart"), handler{exec: h.Exec, httpGet: h.HTTPGet, tcpSocket: h.TCPSocket, sleep: h.Sleep})
	}
	if h := l.PreStop; h != nil {
		c.handler(p.Child("preStop"), handler{exec: h.Exec, httpGet: h.HTTPGet, tcpSocket: h.TCPSocket, sleep: h.Sleep})
	}
	if l.StopSignal != nil {
		c.stopSignal(p.Child("stopSignal"), *l.StopSignal)
	}
}

// handler is what probes and hooks have in common.
type handler struct {
	exec      *corev1.ExecAction
	httpGet   *corev1.HTTPGetAction
	tcpSocket *corev1.TCPSocketAction
	grpc      *corev1.GRPCAction
	sleep     *corev1.SleepAction
}

func (c *podCheck) handler(p *field.Path, h handler) {
	taken := false
	first := func(p *field.Path) bool {
		if taken {
			c.forbidden(p, "may not specify more than 1 handler type")
			return false
		}
		taken = true
		return true
	}
	if h.exec != nil && first(p.Child("exec")) && len(h.exec.Command) == 0 {
		c.required(p.Child("exec", "command"), "")
	}
	if h.httpGet != nil && first(p.Child("httpGet")) {
		c.httpGet(p.Child("httpGet"), h.httpGet)
	}
	if h.tcpSocket != nil && first(p.Child("tcpSocket")) {
		c.portNumberOrName(p.Child("tcpSocket", "port"), h.tcpSocket.Port)
	}
	if h.grpc != nil && first(p.Child("grpc")) {
		c.portNumberOrName(p.Child("grpc", "port"), intstr.FromInt32(h.grpc.Port))
	}
	if h.sleep != nil && first(p.Child("sleep")) && c.grace != nil && (h.sleep.Seconds < 0 || h.sleep.Seconds > *c.grace) {
		c.invalid(p.Child("sleep"), h.sleep.Seconds,
			fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *c.grace))
	}
	if !taken {
		c.required(p, "must specify a handler type")
	}
}

func (c *podCheck) httpGet(p *field.Path, g *corev1.HTTPGetAction) {
	c.notEmpty(p.Child("path"), g.Path)
	c.portNumberOrName(p.Child("port"), g.Port)
	among(&c.findings, p.Child("scheme"), g.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)
	for i := range g.HTTPHeaders {
		c.messages(p.Child("httpHeaders"), g.HTTPHeaders[i].Name, validation.IsHTTPHeaderName(g.HTTPHeaders[i].Name))
	}
}

func (c *podCheck) stopSignal(p *field.Path, _ corev1.Signal) {
	if c.os == nil || c.os.Name == "" {
		c.forbidden(p, "may not be set for containers with empty `spec.os.name`")
	}
}
