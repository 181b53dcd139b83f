package validation

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// longestSigner has room for a domain, and the name of an object with its namespace.
const longestSigner = validation.DNS1123SubdomainMaxLength + 1 + validation.DNS1123SubdomainMaxLength + 1 + validation.DNS1123LabelMaxLength

// SignerName requires the name of a signer: a domain and a path.
func (f *findings) SignerName(p *field.Path, name string) {
	if name == "" {
		f.required(p, "")
		return
	}
	domain, path, found := strings.Cut(name, "/")
	if !found || strings.Contains(path, "/") {
		f.invalid(p, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")
		return
	}
	if len(domain) > validation.DNS1123SubdomainMaxLength {
		f.add(field.TooLong(p, "", validation.DNS1123SubdomainMaxLength))
	}
	f.segments(p, domain, validation.IsDNS1123Label)
	if !strings.Contains(domain, ".") {
		f.invalid(p, domain, "should be a domain with at least two segments separated by dots")
	}
	f.segments(p, path, validation.IsDNS1123Subdomain)
	if len(name) > longestSigner {
		f.add(field.TooLong(p, "", longestSigner))
	}
}

// segments says what is wrong with the first bad one of the parts between dots.
func (f *findings) segments(p *field.Path, text string, check func(string) []string) {
	for _, segment := range strings.Split(text, ".") {
		if messages := check(segment); len(messages) > 0 {
			for _, m := range messages {
				f.invalid(p, text, fmt.Sprintf("validating label %q: %s", segment, m))
			}
			return
		}
	}
}
