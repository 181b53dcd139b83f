package api

import (
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"berth.dev/berth/internal/api/admissionregistration"
	"berth.dev/berth/internal/api/apiregistration"
	"berth.dev/berth/internal/api/apps"
	"berth.dev/berth/internal/api/autoscaling"
	"berth.dev/berth/internal/api/batch"
	"berth.dev/berth/internal/api/certificates"
	"berth.dev/berth/internal/api/cni"
	"berth.dev/berth/internal/api/coordination"
	"berth.dev/berth/internal/api/core"
	"berth.dev/berth/internal/api/discovery"
	"berth.dev/berth/internal/api/events"
	"berth.dev/berth/internal/api/flowcontrol"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/networking"
	"berth.dev/berth/internal/api/node"
	"berth.dev/berth/internal/api/policy"
	"berth.dev/berth/internal/api/rbac"
	"berth.dev/berth/internal/api/resource"
	"berth.dev/berth/internal/api/scheduling"
	"berth.dev/berth/internal/api/spiderpool"
	"berth.dev/berth/internal/api/storage"
	"berth.dev/berth/internal/api/storagemigration"
	"berth.dev/berth/internal/api/volumesnapshot"
)

// Kind is one served kind.
type Kind = kind.Kind

// groups are the API groups in upstream's order of discovery. Reviews
// and metrics are served without being stored, so their groups list no kinds.
var groups = []kind.Group{
	core.Group(),
	apiregistration.Group(),
	apps.Group(),
	events.Group(),
	{Versions: []kind.Version{{GroupVersion: authenticationv1.SchemeGroupVersion, Add: authenticationv1.AddToScheme}}},
	{Versions: []kind.Version{{GroupVersion: authorizationv1.SchemeGroupVersion, Add: authorizationv1.AddToScheme}}},
	autoscaling.Group(),
	batch.Group(),
	certificates.Group(),
	networking.Group(),
	policy.Group(),
	rbac.Group(),
	storage.Group(),
	admissionregistration.Group(),
	scheduling.Group(),
	coordination.Group(),
	node.Group(),
	discovery.Group(),
	resource.Group(),
	flowcontrol.Group(),
	storagemigration.Group(),
	spiderpool.Group(),
	cni.Group(),
	volumesnapshot.Group(),
	{Versions: []kind.Version{{GroupVersion: metricsv1beta1.SchemeGroupVersion, Add: metricsv1beta1.AddToScheme}}},
}

// Kinds lists every served kind in the order of discovery.
func Kinds() []Kind {
	var all []Kind
	for _, g := range groups {
		all = append(all, g.Kinds...)
	}
	return slices.Clip(all)
}
