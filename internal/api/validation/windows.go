package validation

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	longestCredentialSpec = 64 << 10
	longestUserDomain     = 256
	longestUserName       = 104
)

// windowsPatterns say what the parts of a Windows user name look like.
var windowsPatterns = sync.OnceValue(func() (p struct{ control, netbios, dns, badUser, blankUser *regexp.Regexp }) {
	const label = `[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?`
	p.control = regexp.MustCompile(`[[:cntrl:]]`)
	p.netbios = regexp.MustCompile(`^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$`)
	p.dns = regexp.MustCompile(`^` + label + `(?:\.` + label + `)*$`)
	p.badUser = regexp.MustCompile(`["/\\:;|=,+*?<>@\[\]]`)
	p.blankUser = regexp.MustCompile(`^[. ]+$`)
	return p
})

func (c *podCheck) windowsOptions(p *field.Path, o *corev1.WindowsSecurityContextOptions) {
	if o == nil {
		return
	}
	if n := o.GMSACredentialSpecName; n != nil {
		c.dnsSubdomain(p.Child("gmsaCredentialSpecName"), *n)
	}
	if s := o.GMSACredentialSpec; s != nil {
		switch {
		case *s == "":
			c.invalid(p.Child("gmsaCredentialSpec"), s, "gmsaCredentialSpec cannot be an empty string")
		case len(*s) > longestCredentialSpec:
			c.invalid(p.Child("gmsaCredentialSpec"), s, "gmsaCredentialSpec size must be under 64 KiB")
		}
	}
	if n := o.RunAsUserName; n != nil {
		for _, m := range windowsUser(*n) {
			c.invalid(p.Child("runAsUserName"), n, m)
		}
	}
}

func windowsUser(name string) (messages []string) {
	say := func(format string, args ...any) {
		messages = append(messages, "runAsUserName"+fmt.Sprintf(format, args...))
	}
	pattern, parts := windowsPatterns(), strings.Split(name, `\`)
	switch {
	case name == "":
		say(" cannot be an empty string")
		return messages
	case pattern.control.MatchString(name):
		say(" cannot contain control characters")
		return messages
	case len(parts) > 2:
		say(" cannot contain more than one backslash")
		return messages
	}
	user := parts[len(parts)-1]
	if len(parts) == 2 {
		domain := parts[0]
		if len(domain) >= longestUserDomain {
			say("'s Domain length must be under %d characters", longestUserDomain)
		}
		if !pattern.netbios.MatchString(domain) && !pattern.dns.MatchString(domain) {
			say("'s Domain doesn't match the NetBios nor the DNS format")
		}
	}
	switch {
	case user == "":
		say("'s User cannot be empty")
	case len(user) > longestUserName:
		say("'s User length must not be longer than %d characters", longestUserName)
	}
	if pattern.blankUser.MatchString(user) {
		say("'s User cannot contain only periods or spaces")
	}
	if pattern.badUser.MatchString(user) {
		say(`'s User cannot contain the following characters: "/\:;|=,+*?<>@[]`)
	}
	return messages
}

// hostProcess checks the Windows notion of a container without walls.
func (c *podCheck) hostProcess(p *field.Path, s *corev1.PodSpec) {
	var ofPod *bool
	if s.SecurityContext != nil && s.SecurityContext.WindowsOptions != nil {
		ofPod = s.SecurityContext.WindowsOptions.HostProcess
	}
	total, host := 0, 0
	eachContainer(s, p, func(ctr *corev1.Container, p *field.Path) {
		total++
		effective := ofPod
		if ctr.SecurityContext != nil && ctr.SecurityContext.WindowsOptions != nil && ctr.SecurityContext.WindowsOptions.HostProcess != nil {
			effective = ctr.SecurityContext.WindowsOptions.HostProcess
			if ofPod != nil && *ofPod != *effective {
				c.invalid(p.Child("securityContext", "windowsOptions", "hostProcess"), *effective,
					fmt.Sprintf("pod hostProcess value must be identical if both are specified, was %v", *ofPod))
			}
		}
		if effective != nil && *effective {
			host++
		}
	})
	if host == 0 {
		return
	}
	if host != total {
		c.invalid(p, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers")
	}
	if !s.HostNetwork {
		c.invalid(p.Child("hostNetwork"), false, "hostNetwork must be true if pod contains any hostProcess containers")
	}
}

// operatingSystem checks that a pod uses only what its system knows.
func (c *podCheck) operatingSystem(p *field.Path, s *corev1.PodSpec) {
	if s.OS == nil {
		return
	}
	switch s.OS.Name {
	case "":
		c.required(p.Child("os", "name"), "")
	case corev1.Linux:
		c.onlyLinux(p, s)
	case corev1.Windows:
		c.onlyWindows(p, s)
	default:
		among(&c.findings, p.Child("os"), s.OS.Name, corev1.Linux, corev1.Windows)
	}
}

func (c *podCheck) onlyLinux(p *field.Path, s *corev1.PodSpec) {
	const refused = "windows options cannot be set for a linux pod"
	if s.SecurityContext != nil && s.SecurityContext.WindowsOptions != nil {
		c.forbidden(p.Child("securityContext", "windowsOptions"), refused)
	}
	eachContainer(s, p, func(ctr *corev1.Container, p *field.Path) {
		if ctr.SecurityContext != nil && ctr.SecurityContext.WindowsOptions != nil {
			c.forbidden(p.Child("securityContext", "windowsOptions"), refused)
		}
	})
}

func (c *podCheck) onlyWindows(p *field.Path, s *corev1.PodSpec) {
	refuse := func(p *field.Path, name string, set bool) {
		if set {
			c.forbidden(p.Child(name), "cannot be set for a windows pod")
		}
	}
	at, x := p.Child("securityContext"), s.SecurityContext
	if x == nil {
		x = &corev1.PodSecurityContext{}
	}
	refuse(at, "appArmorProfile", x.AppArmorProfile != nil)
	refuse(at, "seLinuxOptions", x.SELinuxOptions != nil)
	refuse(p, "hostUsers", s.HostUsers != nil)
	refuse(p, "hostPID", s.HostPID)
	refuse(p, "hostIPC", s.HostIPC)
	refuse(at, "seccompProfile", x.SeccompProfile != nil)
	refuse(at, "fsGroup", x.FSGroup != nil)
	refuse(at, "fsGroupChangePolicy", x.FSGroupChangePolicy != nil)
	refuse(at, "sysctls", len(x.Sysctls) > 0)
	refuse(p, "shareProcessNamespace", s.ShareProcessNamespace != nil)
	refuse(at, "runAsUser", x.RunAsUser != nil)
	refuse(at, "runAsGroup", x.RunAsGroup != nil)
	refuse(at, "supplementalGroups", x.SupplementalGroups != nil)
	refuse(at, "supplementalGroupsPolicy", x.SupplementalGroupsPolicy != nil)
	refuse(at, "seLinuxChangePolicy", x.SELinuxChangePolicy != nil)
	eachContainer(s, p, func(ctr *corev1.Container, p *field.Path) {
		x := ctr.SecurityContext
		if x == nil {
			return
		}
		at := p.Child("securityContext")
		refuse(at, "appArmorProfile", x.AppArmorProfile != nil)
		refuse(at, "seLinuxOptions", x.SELinuxOptions != nil)
		refuse(at, "seccompProfile", x.SeccompProfile != nil)
		refuse(at, "capabilities", x.Capabilities != nil)
		refuse(at, "readOnlyRootFilesystem", x.ReadOnlyRootFilesystem != nil)
		refuse(at, "privileged", x.Privileged != nil)
		refuse(at, "allowPrivilegeEscalation", x.AllowPrivilegeEscalation != nil)
		refuse(at, "procMount", x.ProcMount != nil)
		refuse(at, "runAsUser", x.RunAsUser != nil)
		refuse(at, "runAsGroup", x.RunAsGroup != nil)
	})
}

// eachContainer visits the containers of all sorts.
func eachContainer(s *corev1.PodSpec, p *field.Path, visit func(*corev1.Container, *field.Path)) {
	for i := range s.InitContainers {
		visit(&s.InitContainers[i], p.Child("initContainers").Index(i))
	}
	for i := range s.Containers {
		visit(&s.Containers[i], p.Child("containers").Index(i))
	}
	for i := range s.EphemeralContainers {
		visit((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon), p.Child("ephemeralContainers").Index(i))
	}
}
