package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

type trustBundle = certificatesv1.ClusterTrustBundle

// largestBundle is the most bytes that a bundle has.
const largestBundle = 1 * 1024 * 1024

func trustBundleKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:        certificatesv1.SchemeGroupVersion.WithKind("ClusterTrustBundle"),
		Resource:   "clustertrustbundles",
		Singular:   "clustertrustbundle",
		FieldNames: []string{signerNameField},
		New:        func() runtime.Object { return &trustBundle{} },
		NewList:    func() runtime.Object { return &certificatesv1.ClusterTrustBundleList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("SignerName", "string", certificatesv1.ClusterTrustBundleSpec{}.SwaggerDoc()["signerName"]),
		},
	}, kind.Rules[*trustBundle]{
		Validate: kind.Check(func(b *trustBundle) field.ErrorList {
			var f validation.Findings
			checkBundle(&f, b)
			anchors(&f, b.Spec.TrustBundle)
			return f.List()
		}),
		ValidateUpdate: kind.CheckUpdate(func(b, old *trustBundle) field.ErrorList {
			var f validation.Findings
			checkBundle(&f, b)
			if b.Spec.TrustBundle != old.Spec.TrustBundle {
				anchors(&f, b.Spec.TrustBundle)
			}
			f.MetaUpdate(&b.ObjectMeta, &old.ObjectMeta)
			f.Immutable(field.NewPath("spec", "signerName"), b.Spec.SignerName, old.Spec.SignerName)
			return f.List()
		}),
		Fields: func(b *trustBundle) fields.Set { return fields.Set{signerNameField: b.Spec.SignerName} },
		Row:    func(b *trustBundle) []any { return []any{b.Name, columns.Or(b.Spec.SignerName, columns.None)} },
	})
}

func checkBundle(f *validation.Findings, b *trustBundle) {
	f.Meta(&b.ObjectMeta, false, bundleName(b.Spec.SignerName))
	if b.Spec.SignerName != "" {
		f.SignerName(field.NewPath("spec", "signerName"), b.Spec.SignerName)
	}
}

// bundleName requires a signer's bundles to begin with its name.
func bundleName(signer string) apivalidation.ValidateNameFunc {
	return func(name string, prefix bool) []string {
		if signer == "" {
			if strings.Contains(name, ":") {
				return []string{`ClusterTrustBundle without signer name must not have ":" in its name`}
			}
			return apivalidation.NameIsDNSSubdomain(name, prefix)
		}
		start := strings.ReplaceAll(signer, "/", ":") + ":"
		rest, ok := strings.CutPrefix(name, start)
		if !ok {
			return []string{fmt.Sprintf("ClusterTrustBundle for signerName %s must be named with prefix %s", signer, start)}
		}
		return apivalidation.NameIsDNSSubdomain(rest, prefix)
	}
}

// anchors requires certificates of authorities, each once.
func anchors(f *validation.Findings, bundle string) {
	p := field.NewPath("spec", "trustBundle")
	if len(bundle) > largestBundle {
		f.Add(field.TooLong(p, "", largestBundle))
		return
	}
	wrong := func(format string, args ...any) { f.Invalid(p, "<value omitted>", fmt.Sprintf(format, args...)) }
	at := map[string][]int{}
	var order []string
	bad := false
	rest := []byte(bundle)
	for i := 0; ; i++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if m := notAnAnchor(block); m != "" {
			wrong("entry %d %s", i, m)
			bad = true
			continue
		}
		key := string(block.Bytes)
		if at[key] = append(at[key], i); len(at[key]) == 1 {
			order = append(order, key)
		}
	}
	if bad {
		return
	}
	if len(at) == 0 {
		wrong("at least one trust anchor must be provided")
	}
	for _, key := range order {
		if len(at[key]) > 1 {
			wrong("duplicate trust anchor (indices %v)", at[key])
		}
	}
}

// notAnAnchor says why nobody can trust in a block.
func notAnAnchor(block *pem.Block) string {
	if block.Type != "CERTIFICATE" {
		return "has bad block type: " + block.Type
	}
	if len(block.Headers) != 0 {
		return "has PEM block headers"
	}
	c, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return "does not parse as X.509"
	case !c.IsCA:
		return "does not have the CA bit set"
	case !c.BasicConstraintsValid:
		return "has invalid basic constraints"
	}
	return ""
}
