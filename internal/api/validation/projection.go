package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// projections checks what one projected volume is put together from.
func (c *podCheck) projections(p *field.Path, sources []corev1.VolumeProjection) {
	used := names{}
	conflict := func(path string, value any) {
		if path != "" && !used.use(path) {
			c.invalid(p, value, "conflicting duplicate paths")
		}
	}
	for i := range sources {
		s, at, kinds := &sources[i], p.Child("sources").Index(i), 0
		if x := s.Secret; x != nil {
			kinds++
			c.projectedKeys(at.Child("secret"), x.Name, x.Items, conflict)
		}
		if x := s.ConfigMap; x != nil {
			kinds++
			c.projectedKeys(at.Child("configMap"), x.Name, x.Items, conflict)
		}
		if x := s.DownwardAPI; x != nil {
			kinds++
			for j := range x.Items {
				c.downwardFile(at.Child("downwardAPI"), &x.Items[j])
				conflict(x.Items[j].Path, x.Items[j].Path)
			}
		}
		if x := s.ServiceAccountToken; x != nil {
			kinds++
			c.token(p, at.Child("serviceAccountToken"), x)
		}
		if x := s.ClusterTrustBundle; x != nil {
			kinds++
			c.trustBundle(at.Child("clusterTrustBundle"), x)
			conflict(x.Path, x.Path)
		}
		if x := s.PodCertificate; x != nil {
			kinds++
			c.podCertificate(at.Child("podCertificate"), x)
			for _, path := range []string{x.CredentialBundlePath, x.KeyPath, x.CertificateChainPath} {
				conflict(path, path)
			}
		}
		if kinds > 1 {
			c.forbidden(at, "may not specify more than 1 volume type per source")
		}
	}
}

func (c *podCheck) projectedKeys(p *field.Path, name string, items []corev1.KeyToPath, conflict func(string, any)) {
	c.notEmpty(p.Child("name"), name)
	for i := range items {
		c.keyFile(p.Child("items").Index(i), &items[i])
		conflict(items[i].Path, name)
	}
}

const (
	shortestToken = 10 * 60
	longestToken  = 1 << 32
)

func (c *podCheck) token(volume, p *field.Path, t *corev1.ServiceAccountTokenProjection) {
	if s := t.ExpirationSeconds; s != nil {
		if *s < shortestToken {
			c.invalid(p.Child("expirationSeconds"), *s, "may not specify a duration less than 10 minutes")
		}
		if *s > longestToken {
			c.invalid(p.Child("expirationSeconds"), *s, "may not specify a duration larger than 2^32 seconds")
		}
	}
	if c.notEmpty(volume.Child("path"), t.Path) {
		c.fileName(volume.Child("path"), t.Path)
	}
}

func (c *podCheck) trustBundle(p *field.Path, b *corev1.ClusterTrustBundleProjection) {
	switch {
	case b.Name != nil && b.SignerName != nil:
		c.invalid(p, Untagged(*b), "only one of name and signerName may be used")
	case b.Name != nil:
		if *b.Name == "" {
			c.required(p.Child("name"), "must be a valid object name")
		}
		for _, m := range apivalidation.NameIsDNSSubdomain((*b.Name)[strings.LastIndexByte(*b.Name, ':')+1:], false) {
			c.invalid(p.Child("name"), *b.Name, "not a valid clustertrustbundlename: "+m)
		}
		if b.LabelSelector != nil {
			c.invalid(p.Child("labelSelector"), b.LabelSelector, "labelSelector must be unset if name is specified")
		}
	case b.SignerName != nil:
		if *b.SignerName == "" {
			c.required(p.Child("signerName"), "must be a valid signer name")
		}
		c.SignerName(p.Child("signerName"), *b.SignerName)
		c.selector(b.LabelSelector, p.Child("labelSelector"))
	default:
		c.required(p, "either name or signerName must be specified")
	}
	c.notEmpty(p.Child("path"), b.Path)
	c.fileName(p.Child("path"), b.Path)
}

// What a pod may ask for in a certificate; signers of Kubernetes grant a day.
const (
	shortestCertificate   = int32(60 * 60)
	longestCertificate    = int32(91 * 24 * 60 * 60)
	longestOwnCertificate = int32(24 * 60 * 60)
)

var certificateKeys = []string{"RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"}

func (c *podCheck) podCertificate(p *field.Path, x *corev1.PodCertificateProjection) {
	c.SignerName(p.Child("signerName"), x.SignerName)
	for _, key := range slices.Sorted(maps.Keys(x.UserAnnotations)) {
		c.add(validation.IsDomainPrefixedKey(p.Child("userAnnotations"), strings.ToLower(key))...)
	}
	if apivalidation.ValidateAnnotationsSize(x.UserAnnotations) != nil {
		c.add(field.TooLong(p.Child("userAnnotations"), "", apivalidation.TotalAnnotationSizeLimitB))
	}
	if !slices.Contains(certificateKeys, x.KeyType) {
		c.add(field.NotSupported(p.Child("keyType"), x.KeyType, certificateKeys))
	}
	if s := x.MaxExpirationSeconds; s != nil {
		longest := longestCertificate
		if strings.HasPrefix(x.SignerName, "kubernetes.io/") {
			longest = longestOwnCertificate
		}
		if *s < shortestCertificate {
			c.invalid(p.Child("maxExpirationSeconds"), *s, fmt.Sprintf("if provided, maxExpirationSeconds must be >= %d", shortestCertificate))
		}
		if *s > longest {
			c.invalid(p.Child("maxExpirationSeconds"), *s, fmt.Sprintf("if provided, maxExpirationSeconds must be <= %d", longest))
		}
	}
	if x.CredentialBundlePath == "" && x.KeyPath == "" && x.CertificateChainPath == "" {
		c.required(p, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath")
	}
	for _, f := range []struct{ name, path string }{
		{"credentialBundlePath", x.CredentialBundlePath}, {"keyPath", x.KeyPath}, {"certificateChainPath", x.CertificateChainPath},
	} {
		if f.path != "" {
			c.fileName(p.Child(f.name), f.path)
		}
	}
}

// templateMeta allows labels and annotations, and nothing else.
func (f *findings) templateMeta(p *field.Path, m *metav1.ObjectMeta) {
	f.add(apivalidation.ValidateAnnotations(m.Annotations, p.Child("annotations"))...)
	f.add(metavalidation.ValidateLabels(m.Labels, p.Child("labels"))...)
	for _, x := range []struct {
		name string
		set  bool
	}{
		{"name", m.Name != ""},
		{"generateName", m.GenerateName != ""},
		{"namespace", m.Namespace != ""},
		{"selfLink", m.SelfLink != ""},
		{"uID", m.UID != ""},
		{"resourceVersion", m.ResourceVersion != ""},
		{"generation", m.Generation != 0},
		{"creationTimestamp", !m.CreationTimestamp.IsZero()},
		{"deletionTimestamp", m.DeletionTimestamp != nil},
		{"deletionGracePeriodSeconds", m.DeletionGracePeriodSeconds != nil},
		{"ownerReferences", m.OwnerReferences != nil},
		{"finalizers", m.Finalizers != nil},
		{"managedFields", m.ManagedFields != nil},
	} {
		if x.set {
			f.forbidden(p.Child(x.name), "cannot be set")
		}
	}
}
