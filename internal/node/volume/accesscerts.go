package volume

import (
	"context"
	"errors"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"berth.dev/berth/internal/plan/trust"
)

// Kinds of refs beside ConfigMaps and Secrets.
const (
	trustBundle  = "clustertrustbundle"    // one, by name
	trustBundles = "clustertrustbundles"   // all of the signer that is the ref's name
	certificate  = "podcertificaterequest" // one, by name
)

// errAgain ends a watch on several objects: one has changed, all are read again.
var errAgain = errors.New("one of several objects has changed")

// selectFields is what of a kind is read. A node sees no requests of other nodes.
func (a access) selectFields() string {
	switch a.kind {
	case trustBundles:
		return fields.OneTermEqualSelector("spec.signerName", a.name).String()
	case certificate:
		return fields.AndSelectors(fields.OneTermEqualSelector(metav1.ObjectNameField, a.name), fields.OneTermEqualSelector("spec.nodeName", a.node)).String()
	}
	return fields.OneTermEqualSelector(metav1.ObjectNameField, a.name).String()
}

func (a access) listBundles(ctx context.Context) (*object, string, error) {
	list, err := a.client.CertificatesV1().ClusterTrustBundles().List(ctx, a.options())
	if err != nil {
		return nil, "", err
	}
	found, versions := &object{}, []string{}
	for i := range list.Items {
		if a.ofBundle(&list.Items[i]) {
			found.bundles = append(found.bundles, bundleOf(&list.Items[i]))
			versions = append(versions, list.Items[i].Name+"="+list.Items[i].ResourceVersion)
		}
	}
	if len(versions) == 0 {
		return nil, list.ResourceVersion, nil
	}
	found.version = strings.Join(versions, ",")
	return found, list.ResourceVersion, nil
}

// ofBundle is true for what the ref names; a fake API server selects nothing.
func (a access) ofBundle(b *certificatesv1.ClusterTrustBundle) bool {
	if a.kind == trustBundles {
		return b.Spec.SignerName == a.name
	}
	return b.Name == a.name
}

func bundleOf(b *certificatesv1.ClusterTrustBundle) trust.Bundle {
	return trust.Bundle{Labels: b.Labels, Text: b.Spec.TrustBundle}
}

func (a access) listRequests(ctx context.Context) (found *object, version string, err error) {
	list, err := a.client.CertificatesV1().PodCertificateRequests(a.namespace).List(ctx, a.options())
	if err != nil {
		return nil, "", err
	}
	for i := range list.Items {
		if r := &list.Items[i]; r.Name == a.name {
			found = &object{version: r.ResourceVersion, request: &r.Status}
		}
	}
	return found, list.ResourceVersion, nil
}

func (a access) watchCertificates(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	if a.kind == certificate {
		return a.client.CertificatesV1().PodCertificateRequests(a.namespace).Watch(ctx, options)
	}
	return a.client.CertificatesV1().ClusterTrustBundles().Watch(ctx, options)
}

// readBundle understands an event about a bundle.
func (a access) readBundle(b *certificatesv1.ClusterTrustBundle) (found *object, name string, err error) {
	if a.kind == trustBundles {
		return nil, "", errAgain
	}
	return &object{version: b.Name + "=" + b.ResourceVersion, bundles: []trust.Bundle{bundleOf(b)}}, b.Name, nil
}
