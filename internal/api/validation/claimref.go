package validation

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resourceClaims checks the device claims of a pod.
func (c *podCheck) resourceClaims(p *field.Path, claims []corev1.PodResourceClaim) {
	used := names{}
	for i := range claims {
		claim, p := &claims[i], p.Index(i)
		switch {
		case claim.Name == "":
			c.required(p.Child("name"), "")
		case !used.use(claim.Name):
			c.add(field.Duplicate(p.Child("name"), claim.Name))
		default:
			c.dnsLabel(p.Child("name"), claim.Name)
		}
		if claim.ResourceClaimName != nil && claim.ResourceClaimTemplateName != nil {
			c.invalid(p, Untagged(*claim), "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
		}
		if claim.ResourceClaimName == nil && claim.ResourceClaimTemplateName == nil {
			c.invalid(p, Untagged(*claim), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
		}
		if n := claim.ResourceClaimName; n != nil {
			c.messages(p.Child("resourceClaimName"), *n, apivalidation.NameIsDNSSubdomain(*n, false))
		}
		if n := claim.ResourceClaimTemplateName; n != nil {
			c.messages(p.Child("resourceClaimTemplateName"), *n, apivalidation.NameIsDNSSubdomain(*n, false))
		}
	}
}

// claimRefs checks which of the pod's claims a container uses.
func (c *podCheck) claimRefs(p *field.Path, refs []corev1.ResourceClaim) {
	whole, parts := names{}, names{}
	for i := range refs {
		r, p := &refs[i], p.Index(i)
		if r.Name == "" {
			c.required(p, "")
			continue
		}
		switch {
		case whole.has(r.Name):
			c.add(field.Duplicate(p, r.Name))
		case r.Request == "":
			whole.use(r.Name)
			for part := range parts {
				if strings.HasPrefix(part, r.Name+"/") {
					c.add(field.Duplicate(p, r.Name))
				}
			}
		default:
			c.dnsLabel(p.Child("request"), r.Request)
			if key := r.Name + "/" + r.Request; !parts.use(key) {
				c.add(field.Duplicate(p, key))
			}
		}
		if !c.claims.has(r.Name) {
			e := field.NotFound(p, r.Name)
			e.Detail = "must be one of the names in pod.spec.resourceClaims which is empty"
			if len(c.claims) > 0 {
				e.Detail = "must be one of the names in pod.spec.resourceClaims: " + strings.Join(slices.Sorted(maps.Keys(c.claims)), ", ")
			}
			c.add(e)
		}
	}
}
