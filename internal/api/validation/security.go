package validation

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/node/util/sysctl"
)

// podSecurityContext checks the settings that all containers share.
func (c *podCheck) podSecurityContext(p *field.Path, spec *corev1.PodSpec) {
	if spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace && spec.HostPID {
		c.invalid(p.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled")
	}
	s := spec.SecurityContext
	if s == nil {
		return
	}
	c.group(p.Child("fsGroup"), s.FSGroup)
	c.user(p.Child("runAsUser"), s.RunAsUser)
	c.group(p.Child("runAsGroup"), s.RunAsGroup)
	for i, g := range s.SupplementalGroups {
		c.group(p.Child("supplementalGroups").Index(i), &g)
	}
	c.sysctls(p.Child("sysctls"), s.Sysctls, spec)
	if v := s.FSGroupChangePolicy; v != nil {
		among(&c.findings, p.Child("fsGroupChangePolicy"), *v, corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)
	}
	c.seccomp(p.Child("seccompProfile"), s.SeccompProfile)
	c.windowsOptions(p.Child("windowsOptions"), s.WindowsOptions)
	c.appArmor(p.Child("appArmorProfile"), s.AppArmorProfile)
	if v := s.SupplementalGroupsPolicy; v != nil {
		among(&c.findings, p.Child("supplementalGroupsPolicy"), *v, corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)
	}
	if v := s.SELinuxChangePolicy; v != nil {
		among(&c.findings, p.Child("seLinuxChangePolicy"), *v, corev1.SELinuxChangePolicyMountOption, corev1.SELinuxChangePolicyRecursive)
	}
}

// securityContext checks the settings of one container.
func (c *podCheck) securityContext(p *field.Path, s *corev1.SecurityContext) {
	c.user(p.Child("runAsUser"), s.RunAsUser)
	c.group(p.Child("runAsGroup"), s.RunAsGroup)
	if m := s.ProcMount; m != nil {
		among(&c.findings, p.Child("procMount"), *m, corev1.DefaultProcMount, corev1.UnmaskedProcMount)
		if c.hostUsers && *m == corev1.UnmaskedProcMount {
			c.invalid(p.Child("procMount"), m, "`hostUsers` must be false to use `Unmasked`")
		}
	}
	c.seccomp(p.Child("seccompProfile"), s.SeccompProfile)
	if s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation {
		if s.Privileged != nil && *s.Privileged {
			c.invalid(p, Untagged(*s), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
		}
		if s.Capabilities != nil {
			for _, capability := range s.Capabilities.Add {
				if capability == "CAP_SYS_ADMIN" {
					c.invalid(p, Untagged(*s), "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
				}
			}
		}
	}
	c.windowsOptions(p.Child("windowsOptions"), s.WindowsOptions)
	c.appArmor(p.Child("appArmorProfile"), s.AppArmorProfile)
}

func (c *podCheck) user(p *field.Path, id *int64) {
	if id != nil {
		c.messages(p, *id, validation.IsValidUserID(*id))
	}
}

func (c *podCheck) group(p *field.Path, id *int64) {
	if id != nil {
		c.messages(p, *id, validation.IsValidGroupID(*id))
	}
}

func (c *podCheck) seccomp(p *field.Path, s *corev1.SeccompProfile) {
	if s == nil {
		return
	}
	local := s.Type == corev1.SeccompProfileTypeLocalhost
	if s.Type == "" {
		c.required(p.Child("type"), "type is required when seccompProfile is set")
	} else {
		among(&c.findings, p.Child("type"), s.Type,
			corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	}
	switch {
	case local && s.LocalhostProfile == nil:
		c.required(p.Child("localhostProfile"), "must be set when seccomp type is Localhost")
	case local:
		c.below(p.Child("localhostProfile"), *s.LocalhostProfile)
	case s.LocalhostProfile != nil:
		c.invalid(p.Child("localhostProfile"), Untagged(*s), "can only be set when seccomp type is Localhost")
	}
}

// longestProfile is one less than the longest path of the kernel.
const longestProfile = 4095

// AppArmorProfile checks a profile by itself; none is a sound one.
func AppArmorProfile(a *corev1.AppArmorProfile) field.ErrorList {
	var c podCheck
	c.appArmor(field.NewPath(""), a)
	return c.list
}

func (c *podCheck) appArmor(p *field.Path, a *corev1.AppArmorProfile) {
	if a == nil {
		return
	}
	name := p.Child("localhostProfile")
	switch a.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		if a.LocalhostProfile == nil || *a.LocalhostProfile == "" {
			c.required(name, "must be set when AppArmor type is Localhost")
			return
		}
		if strings.TrimSpace(*a.LocalhostProfile) != *a.LocalhostProfile {
			c.invalid(name, *a.LocalhostProfile, "must not be padded with whitespace")
		}
		if len(*a.LocalhostProfile) > longestProfile {
			c.add(field.TooLong(name, "", longestProfile))
		}
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if a.LocalhostProfile != nil {
			c.invalid(name, a.LocalhostProfile, "can only be set when AppArmor type is Localhost")
		}
	case "":
		c.required(p.Child("type"), "type is required when appArmorProfile is set")
	default:
		among(&c.findings, p.Child("type"), a.Type, corev1.AppArmorProfileTypeLocalhost,
			corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
	}
}

const (
	sysctlSegment = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
	sysctlName    = "^(" + sysctlSegment + "[\\./])*" + sysctlSegment + "$"
	longestSysctl = 253
)

var sysctlPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(sysctlName) })

func (c *podCheck) sysctls(p *field.Path, list []corev1.Sysctl, spec *corev1.PodSpec) {
	used := names{}
	for i := range list {
		name, p := list[i].Name, p.Index(i).Child("name")
		switch {
		case name == "":
			c.required(p, "")
		case len(name) > longestSysctl || !sysctlPattern().MatchString(name):
			c.invalid(p, name, fmt.Sprintf("must have at most %d characters and match regex %s", longestSysctl, sysctlName))
		case !used.use(name):
			c.add(field.Duplicate(p, name))
		}
		switch ns, _, _ := sysctl.GetNamespace(name); {
		case spec.HostNetwork && ns == sysctl.NetNamespace:
			c.invalid(p, name, "may not be specified when 'hostNetwork' is true")
		case spec.HostIPC && ns == sysctl.IPCNamespace:
			c.invalid(p, name, "may not be specified when 'hostIPC' is true")
		}
	}
}
