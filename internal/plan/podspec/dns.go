package podspec

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Resolver is the content of a resolv.conf.
type Resolver struct {
	Servers, Searches, Options []string
}

// Limits of the resolver library, which upstream enforces.
const (
	mostServers      = 3
	mostSearches     = 32
	longestSearchAll = 2048
)

// ParseResolver reads a resolv.conf.
func ParseResolver(text string) Resolver {
	var r Resolver
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			r.Servers = append(r.Servers, fields[1])
		case "search":
			r.Searches = nil
			for _, s := range fields[1:] {
				if s != "." {
					s = strings.TrimSuffix(s, ".")
				}
				r.Searches = append(r.Searches, s)
			}
		case "options":
			r.Options = append(r.Options, fields[1:]...)
		}
	}
	return r
}

// PodResolver is the resolver of one pod; forming reports what had to be left out
// (the message of a DNSConfigForming event), empty if nothing.
func PodResolver(pod *corev1.Pod, clusterDNS []string, clusterDomain string, node Resolver) (r Resolver, forming string) {
	policy := pod.Spec.DNSPolicy
	switch {
	case policy == corev1.DNSNone:
	case policy == corev1.DNSDefault, policy == corev1.DNSClusterFirst && pod.Spec.HostNetwork, len(clusterDNS) == 0:
		r = Resolver{slices.Clone(node.Servers), slices.Clone(node.Searches), slices.Clone(node.Options)}
	default:
		r.Servers = slices.Clone(clusterDNS)
		if clusterDomain != "" {
			r.Searches = []string{pod.Namespace + ".svc." + clusterDomain, "svc." + clusterDomain, clusterDomain}
		}
		r.Searches = unique(append(r.Searches, node.Searches...))
		r.Options = []string{"ndots:5"}
	}
	if c := pod.Spec.DNSConfig; c != nil {
		r.Servers = unique(append(r.Servers, c.Nameservers...))
		r.Searches = unique(append(r.Searches, c.Searches...))
		r.Options = mergeOptions(r.Options, c.Options)
	}
	return r.fit()
}

// fit cuts the resolver down to what the library accepts.
func (r Resolver) fit() (Resolver, string) {
	var messages []string
	if len(r.Servers) > mostServers {
		r.Servers = r.Servers[:mostServers]
		messages = append(messages, "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "+strings.Join(r.Servers, " "))
	}
	cut := r.Searches
	if len(cut) > mostSearches {
		cut = cut[:mostSearches]
	}
	for len(strings.Join(cut, " ")) > longestSearchAll {
		cut = cut[:len(cut)-1]
	}
	if len(cut) < len(r.Searches) {
		r.Searches = cut
		messages = append(messages, "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "+strings.Join(cut, " "))
	}
	return r, strings.Join(messages, "; ")
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// mergeOptions lets the pod's options replace those of the same name.
func mergeOptions(base []string, extra []corev1.PodDNSConfigOption) []string {
	var out []string
	named := map[string]bool{}
	for _, o := range extra {
		named[o.Name] = true
	}
	for _, o := range base {
		if name, _, _ := strings.Cut(o, ":"); !named[name] {
			out = append(out, o)
		}
	}
	for _, o := range extra {
		if o.Value != nil {
			out = append(out, o.Name+":"+*o.Value)
		} else {
			out = append(out, o.Name)
		}
	}
	return out
}
