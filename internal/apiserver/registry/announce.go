package registry

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"berth.dev/berth/internal/apiserver/presence"
)

// Announce raises mark as soon as an object of the kind exists. One that is
// made here raises it before its maker hears so. One that was stored before
// the start, or by another server, raises it on its way into the watch cache,
// which asks for the fields of every object that enters it. So the kind must be
// watched before the server is ready.
func Announce(mark *presence.Mark) Tune {
	return func(s *genericregistry.Store, o *generic.StoreOptions) {
		attrs := o.AttrFunc
		o.AttrFunc = func(obj runtime.Object) (labels.Set, fields.Set, error) {
			mark.Raise()
			return attrs(obj)
		}
		after := s.AfterCreate
		s.AfterCreate = func(obj runtime.Object, options *metav1.CreateOptions) {
			mark.Raise()
			if after != nil {
				after(obj, options)
			}
		}
	}
}
