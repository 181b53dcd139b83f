// Package trust makes one file of the trust anchors that several bundles hold.
package trust

import (
	"encoding/pem"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Bundle is what is looked at of a ClusterTrustBundle.
type Bundle struct {
	Labels map[string]string
	Text   string // in PEM
}

// Anchors are the certificates of all bundles in PEM, each once, without what is
// written beside them. Their order says nothing and stays the same, so that the
// file only changes with what it holds.
func Anchors(bundles []Bundle) []byte {
	var found []string
	for _, b := range bundles {
		for rest := []byte(b.Text); ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			found = append(found, string(block.Bytes))
		}
	}
	slices.Sort(found)
	out := []byte{}
	for _, der := range slices.Compact(found) {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(der)})...)
	}
	return out
}

// Select picks bundles by label: none without a selector, all with an empty one.
func Select(bundles []Bundle, by *metav1.LabelSelector) ([]Bundle, error) {
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		return nil, err
	}
	var out []Bundle
	for _, b := range bundles {
		if selector.Matches(labels.Set(b.Labels)) {
			out = append(out, b)
		}
	}
	return out, nil
}
