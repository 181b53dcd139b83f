package certificates

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/types"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

const (
	longestUID   = 128
	largestStub  = 10 * 1024
	largestChain = 100 * 1024

	shortestLife   = 60 * 60
	longestLife    = 91 * 24 * 60 * 60
	longestOwnLife = 24 * 60 * 60 // of the signers of Kubernetes itself
)

var stubPath = field.NewPath("spec", "stubPKCS10Request")

func validatePodRequest(r *podRequest) field.ErrorList {
	var f validation.Findings
	spec := field.NewPath("spec")
	f.Meta(&r.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	f.SignerName(spec.Child("signerName"), r.Spec.SignerName)
	userAnnotations(&f, spec.Child("unverifiedUserAnnotations"), r.Spec.UnverifiedUserAnnotations)
	named := func(child, name string, id types.UID) {
		f.DNSSubdomain(spec.Child(child+"Name"), name)
		if id == "" {
			f.Invalid(spec.Child(child+"UID"), id, "must not be empty")
		}
		if len(id) > longestUID {
			f.Add(field.TooLong(spec.Child(child+"UID"), id, longestUID))
		}
	}
	named("pod", r.Spec.PodName, r.Spec.PodUID)
	named("serviceAccount", r.Spec.ServiceAccountName, r.Spec.ServiceAccountUID)
	named("node", string(r.Spec.NodeName), r.Spec.NodeUID)
	if r.Spec.MaxExpirationSeconds == nil {
		f.Required(spec.Child("maxExpirationSeconds"), "must be set")
		return f.List()
	}
	longest := int32(longestLife)
	if domain, _, _ := strings.Cut(r.Spec.SignerName, "/"); domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io") {
		longest = longestOwnLife
	}
	if n := *r.Spec.MaxExpirationSeconds; n < shortestLife || n > longest {
		f.Invalid(spec.Child("maxExpirationSeconds"), n, fmt.Sprintf("must be in the range [%d, %d]", shortestLife, longest))
	}
	stub(&f, r.Spec.StubPKCS10Request)
	return f.List()
}

func userAnnotations(f *validation.Findings, p *field.Path, annotations map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		f.Add(utilvalidation.IsDomainPrefixedKey(p, strings.ToLower(key))...)
	}
	if apivalidation.ValidateAnnotationsSize(annotations) != nil {
		f.Add(field.TooLong(p, "", apivalidation.TotalAnnotationSizeLimitB))
	}
}

// stub checks the request that proves who has the key.
func stub(f *validation.Findings, der []byte) {
	if len(der) == 0 {
		f.Required(stubPath, "")
		return
	}
	if len(der) > largestStub {
		f.Add(field.TooLong(stubPath, der, largestStub))
		return
	}
	parsed, err := x509.ParseCertificateRequest(der)
	if err != nil {
		f.Invalid(stubPath, der, "must be a valid PKCS#10 CSR")
		return
	}
	switch key := parsed.PublicKey.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() && key.Curve != elliptic.P521() {
			f.Invalid(stubPath, "curve "+key.Curve.Params().Name, "elliptic public keys must use curve P256 or P384")
			return
		}
	case *rsa.PublicKey:
		if bits := key.Size() * 8; bits != 3072 && bits != 4096 {
			f.Invalid(stubPath, fmt.Sprintf("%d-bit modulus", bits), "RSA keys must have modulus size 3072 or 4096")
			return
		}
	default:
		f.Invalid(stubPath, der, "unknown public key type; supported types are Ed25519, ECDSA, and RSA")
		return
	}
	if parsed.CheckSignature() != nil {
		f.Invalid(stubPath, field.OmitValueType{}, "could not verify proof-of-possession signature")
	}
}

// sameKey says whether both are keys, and the same one.
func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func validatePodRequestUpdate(r, old *podRequest) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	if !equality.Semantic.DeepEqual(r.Spec, old.Spec) {
		f.Invalid(field.NewPath("spec"), internalForm(&r.Spec), apivalidation.FieldImmutableErrorMsg)
	}
	return f.List()
}

// internalForm is what upstream shows of a spec: its internal type has no names
// for JSON, and two fields of an older version.
func internalForm(s *certificatesv1.PodCertificateRequestSpec) any {
	return struct {
		SignerName, PodName, PodUID, ServiceAccountName, ServiceAccountUID, NodeName, NodeUID string

		MaxExpirationSeconds                                *int32
		PKIXPublicKey, ProofOfPossession, StubPKCS10Request []byte
		UnverifiedUserAnnotations                           map[string]string
	}{
		s.SignerName, s.PodName, string(s.PodUID), s.ServiceAccountName, string(s.ServiceAccountUID), string(s.NodeName), string(s.NodeUID),
		s.MaxExpirationSeconds, nil, nil, s.StubPKCS10Request, s.UnverifiedUserAnnotations,
	}
}
