package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/api"
)

// eventTTL is how long an event is kept, in seconds.
const eventTTL = 60 * 60

// tunes are the few facts about storage that a kind's declaration has no place for.
func tunes(k api.Kind) []Tune {
	switch k.GVK.GroupKind().String() {
	case "Event", "Event.events.k8s.io":
		return []Tune{expireEvents}
	case "Pod":
		return []Tune{returnDeleted, indexPodsByNode}
	case "PersistentVolume", "PersistentVolumeClaim", "PodTemplate", "ResourceQuota", "Service",
		"ServiceAccount", "CSIDriver.storage.k8s.io", "CSINode.storage.k8s.io",
		"StorageClass.storage.k8s.io", "VolumeAttachment.storage.k8s.io":
		return []Tune{returnDeleted}
	}
	return nil
}

func expireEvents(s *genericregistry.Store, _ *generic.StoreOptions) {
	base := s.CreateStrategy.(strategy)
	s.CreateStrategy, s.UpdateStrategy, s.DeleteStrategy = ungarbage{base}, ungarbage{base}, ungarbage{base}
	s.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return eventTTL, nil }
}

// returnDeleted answers a DELETE with the object as it was.
func returnDeleted(s *genericregistry.Store, _ *generic.StoreOptions) { s.ReturnDeletedObject = true }

const nodeNameField = "spec.nodeName"

// indexPodsByNode lets the many watches for one node's pods skip all others.
func indexPodsByNode(s *genericregistry.Store, o *generic.StoreOptions) {
	attrs := o.AttrFunc
	o.TriggerFunc = map[string]storage.IndexerFunc{nodeNameField: nodeOf}
	o.Indexers = &cache.Indexers{storage.FieldIndex(nodeNameField): func(obj any) ([]string, error) {
		return []string{nodeOf(obj.(runtime.Object))}, nil
	}}
	s.PredicateFunc = func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
		return storage.SelectionPredicate{
			Label: label, Field: field, GetAttrs: attrs,
			IndexFields: []string{nodeNameField},
		}
	}
}

func nodeOf(obj runtime.Object) string { return obj.(*corev1.Pod).Spec.NodeName }
