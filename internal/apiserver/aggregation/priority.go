package aggregation

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Priorities order groups and their versions in discovery, and so decide which
// kind a client means by a name that several groups have.
type Priorities struct{ Group, Version int32 }

// custom is where the groups of custom resource definitions stand.
var custom = Priorities{Group: 1000, Version: 100}

// groups are upstream's numbers for the groups, so that their order is the same.
var groups = map[string]int32{
	"":                             18000,
	"apps":                         17800,
	"events.k8s.io":                17750,
	"authentication.k8s.io":        17700,
	"authorization.k8s.io":         17600,
	"autoscaling":                  17500,
	"batch":                        17400,
	"certificates.k8s.io":          17300,
	"networking.k8s.io":            17200,
	"policy":                       17100,
	"rbac.authorization.k8s.io":    17000,
	"storage.k8s.io":               16800,
	"apiextensions.k8s.io":         16700,
	"admissionregistration.k8s.io": 16700,
	"scheduling.k8s.io":            16600,
	"coordination.k8s.io":          16500,
	"node.k8s.io":                  16300,
	"discovery.k8s.io":             16200,
	"resource.k8s.io":              16200,
	"flowcontrol.apiserver.k8s.io": 16100,
	"internal.apiserver.k8s.io":    16000,
	"storagemigration.k8s.io":      15800,
	metricsGroup:                   100, // metrics-server's
	apiregistrationv1.GroupName:    20001,
}

// versions are those that differ from the usual number of their kind.
var versions = map[schema.GroupVersion]int32{
	{Group: "", Version: "v1"}:                             1,
	{Group: "autoscaling", Version: "v2"}:                  30,
	{Group: "flowcontrol.apiserver.k8s.io", Version: "v1"}: 21,
	{Group: "resource.k8s.io", Version: "v1"}:              20,
	{Group: "storagemigration.k8s.io", Version: "v1beta1"}: 9,
	{Group: "coordination.k8s.io", Version: "v1beta1"}:     13,
	{Group: "coordination.k8s.io", Version: "v1alpha2"}:    12,
	{Group: metricsGroup, Version: "v1beta1"}:              100,
}

// PrioritiesOf returns the place of a built-in group version.
func PrioritiesOf(gv schema.GroupVersion) Priorities {
	out := Priorities{Group: groups[gv.Group], Version: versions[gv]}
	if out.Group == 0 {
		out.Group = custom.Group // a group of Berth's own
	}
	if out.Version == 0 {
		out.Version = usualVersion(gv.Version)
	}
	return out
}

func usualVersion(version string) int32 {
	switch {
	case version == "v1":
		return 15
	case len(version) > 3 && version[2:6] == "beta":
		return 9
	}
	return 1
}

// local is the APIService of a group version that this server answers itself.
func local(gv schema.GroupVersion, p Priorities) *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: gv.Version + "." + gv.Group},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: gv.Group, Version: gv.Version, GroupPriorityMinimum: p.Group, VersionPriority: p.Version,
		},
	}
}
