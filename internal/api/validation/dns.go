package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the C library's resolver can take in.
const (
	mostNameservers = 3
	mostSearchPaths = 32
	longestSearches = 2048
)

func (c *podCheck) dnsConfig(p *field.Path, s *corev1.PodSpec) {
	d := s.DNSConfig
	if s.DNSPolicy == corev1.DNSNone {
		if d == nil {
			c.required(p, fmt.Sprintf("must provide `dnsConfig` when `dnsPolicy` is %s", corev1.DNSNone))
			return
		}
		if len(d.Nameservers) == 0 {
			c.required(p.Child("nameservers"), fmt.Sprintf("must provide at least one DNS nameserver when `dnsPolicy` is %s", corev1.DNSNone))
			return
		}
	}
	if d == nil {
		return
	}
	if len(d.Nameservers) > mostNameservers {
		c.invalid(p.Child("nameservers"), d.Nameservers, fmt.Sprintf("must not have more than %v nameservers", mostNameservers))
	}
	for i, n := range d.Nameservers {
		c.add(validation.IsValidIP(p.Child("nameservers").Index(i), n)...)
	}
	searches := p.Child("searches")
	if len(d.Searches) > mostSearchPaths {
		c.invalid(searches, d.Searches, fmt.Sprintf("must not have more than %v search paths", mostSearchPaths))
	}
	if len(strings.Join(d.Searches, " ")) > longestSearches {
		c.invalid(searches, d.Searches, fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", longestSearches))
	}
	for i, n := range d.Searches {
		if n == "." {
			continue
		}
		n = strings.TrimSuffix(n, ".")
		c.messages(searches.Index(i), n, validation.IsDNS1123SubdomainWithUnderscore(n))
	}
	for i := range d.Options {
		if d.Options[i].Name == "" {
			c.required(p.Child("options").Index(i), "must not be empty")
		}
	}
}
