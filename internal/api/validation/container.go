package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// container checks what holds for each kind of container.
func (c *podCheck) container(p *field.Path, ctr *corev1.Container) {
	if c.notEmpty(p.Child("name"), ctr.Name) {
		c.dnsLabel(p.Child("name"), ctr.Name)
	}
	c.notEmpty(p.Child("image"), ctr.Image)
	setAndAmong(&c.findings, p.Child("terminationMessagePolicy"), ctr.TerminationMessagePolicy,
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)
	c.containerPorts(p.Child("ports"), ctr.Ports)
	c.env(p.Child("env"), ctr.Env)
	c.envFrom(p.Child("envFrom"), ctr.EnvFrom)
	c.volumeMounts(p.Child("volumeMounts"), ctr)
	c.volumeDevices(p.Child("volumeDevices"), ctr)
	c.pullPolicy(p.Child("imagePullPolicy"), ctr.ImagePullPolicy)
	c.requirements(p.Child("resources"), &ctr.Resources, c.containerResourceName)
	c.claimRefs(p.Child("resources", "claims"), ctr.Resources.Claims)
	c.resizePolicies(p.Child("resizePolicy"), ctr.ResizePolicy)
	if ctr.SecurityContext != nil {
		c.securityContext(p.Child("securityContext"), ctr.SecurityContext)
	}
}

func (c *podCheck) pullPolicy(p *field.Path, policy corev1.PullPolicy) {
	setAndAmong(&c.findings, p, policy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
}

// containers checks the regular containers.
func (c *podCheck) containers(p *field.Path, list []corev1.Container) {
	if len(list) == 0 {
		c.required(p, "")
		return
	}
	used := names{}
	for i := range list {
		ctr, p := &list[i], p.Index(i)
		c.container(p, ctr)
		if !used.use(ctr.Name) {
			c.add(field.Duplicate(p.Child("name"), ctr.Name))
		}
		if ctr.Lifecycle != nil {
			c.lifecycle(p.Child("lifecycle"), ctr.Lifecycle)
		}
		c.probes(p, ctr)
		c.restartPolicyOf(p, ctr)
	}
	c.hostPorts(p, list)
}

const onlySidecars = "may not be set for init containers without restartPolicy=Always"

// initContainers checks the init containers and sidecars.
func (c *podCheck) initContainers(p *field.Path, list, regular []corev1.Container) {
	if len(list) == 0 {
		return
	}
	used := names{}
	for i := range regular {
		used.use(regular[i].Name)
	}
	for i := range list {
		ctr, at := &list[i], p.Index(i)
		c.container(at, ctr)
		if ctr.RestartPolicy != nil {
			c.restartPolicyOf(at, ctr)
		} else if len(ctr.RestartPolicyRules) > 0 {
			c.required(at.Child("restartPolicy"), restartRulesNeedPolicy)
		}
		if ctr.Name != "" && !used.use(ctr.Name) {
			c.add(field.Duplicate(at.Child("name"), ctr.Name))
		}
		c.hostPorts(p, list[i:i+1])
		if ctr.RestartPolicy != nil && *ctr.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			if ctr.Lifecycle != nil {
				c.lifecycle(at.Child("lifecycle"), ctr.Lifecycle)
			}
			c.probes(at, ctr)
			continue
		}
		if l := ctr.Lifecycle; l != nil {
			if l.PostStart != nil || l.PreStop != nil || l.StopSignal == nil {
				c.forbidden(at.Child("lifecycle"), onlySidecars)
			} else {
				c.stopSignal(at.Child("lifecycle", "stopSignal"), *l.StopSignal)
			}
		}
		if ctr.LivenessProbe != nil {
			c.forbidden(at.Child("livenessProbe"), onlySidecars)
		}
		if ctr.ReadinessProbe != nil {
			c.forbidden(at.Child("readinessProbe"), onlySidecars)
		}
		if ctr.StartupProbe != nil {
			c.forbidden(at.Child("startupProbe"), onlySidecars)
		}
		for j, r := range ctr.ResizePolicy {
			if r.RestartPolicy == corev1.RestartContainer && !c.restartsOnResize {
				c.invalid(at.Child("resizePolicy").Index(j).Child("restartPolicy"), r.RestartPolicy,
					"must not be set to 'RestartContainer' for non-sidecar initContainers")
			}
		}
	}
}

const restartRulesNeedPolicy = "must specify restartPolicy when restart rules are used"

func (c *podCheck) restartPolicyOf(p *field.Path, ctr *corev1.Container) {
	rules := p.Child("restartPolicyRules")
	if ctr.RestartPolicy != nil {
		among(&c.findings, p.Child("restartPolicy"), *ctr.RestartPolicy,
			corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)
	} else if len(ctr.RestartPolicyRules) > 0 {
		c.required(p.Child("restartPolicy"), restartRulesNeedPolicy)
	}
	if n := len(ctr.RestartPolicyRules); n > 20 {
		c.add(field.TooMany(rules, n, 20))
	}
	for i := range ctr.RestartPolicyRules {
		r, p := &ctr.RestartPolicyRules[i], rules.Index(i)
		among(&c.findings, p.Child("action"), r.Action, corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)
		if r.ExitCodes == nil {
			c.required(p.Child("exitCodes"), "must be specified")
			continue
		}
		among(&c.findings, p.Child("exitCodes", "operator"), r.ExitCodes.Operator,
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)
		if n := len(r.ExitCodes.Values); n > 255 {
			c.add(field.TooMany(p.Child("exitCodes", "values"), n, 255))
		}
	}
}

func (c *podCheck) resizePolicies(p *field.Path, list []corev1.ContainerResizePolicy) {
	used := names{}
	for i := range list {
		r := &list[i]
		if !used.use(string(r.ResourceName)) {
			c.add(field.Duplicate(p.Index(i), r.ResourceName))
		}
		setAndAmong(&c.findings, p, r.ResourceName, corev1.ResourceCPU, corev1.ResourceMemory)
		setAndAmong(&c.findings, p, r.RestartPolicy, corev1.NotRequired, corev1.RestartContainer)
		if c.restart == corev1.RestartPolicyNever && r.RestartPolicy != corev1.NotRequired {
			c.invalid(p, r.RestartPolicy, "must be 'NotRequired' when `restartPolicy` is 'Never'")
		}
	}
}

// trimmedImages holds for pods only: templates have long been allowed blanks.
func (c *podCheck) trimmedImages(p *field.Path, list []corev1.Container) {
	for i := range list {
		c.trimmedImage(p.Index(i), list[i].Image)
	}
}

func (c *podCheck) trimmedImage(p *field.Path, image string) {
	if strings.TrimSpace(image) != image {
		c.invalid(p.Child("image"), image, "must not have leading or trailing whitespace")
	}
}
