package spiderpool

import (
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// guard keeps an object until the ipam loop lets it go.
func guard(o metav1.Object) {
	finalizers := o.GetFinalizers()
	if o.GetDeletionTimestamp() == nil && !slices.Contains(finalizers, spiderpoolv2beta1.Finalizer) {
		o.SetFinalizers(append(finalizers, spiderpoolv2beta1.Finalizer))
	}
}

// label notes a CIDR; a label's value has neither slash nor colon.
func label(o metav1.Object, name, cidr string) {
	_, err := netip.ParsePrefix(cidr)
	if err != nil || o.GetDeletionTimestamp() != nil || strings.HasPrefix(cidr, ":") {
		return
	}
	labels := map[string]string{}
	for k, v := range o.GetLabels() {
		labels[k] = v
	}
	labels[name] = strings.NewReplacer(".", "-", ":", "-", "/", "-").Replace(cidr)
	o.SetLabels(labels)
}

// merged sorts ranges and joins those that touch. What cannot be read stays as
// it is, for validation to say so.
func merged(texts []string) []string {
	spans, err := address.ParseSpans(texts)
	if err != nil || len(texts) == 0 {
		return texts
	}
	var out []string
	for _, s := range address.Merge(spans) {
		out = append(out, s.String())
	}
	return out
}
