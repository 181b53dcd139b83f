package apiserver

import (
	"sort"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	listers "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/client-go/tools/cache"
)

// crdGroups lists the groups that custom resource definitions make.
type crdGroups struct {
	manager discovery.GroupManager
	lister  listers.CustomResourceDefinitionLister
	builtIn map[string]bool
}

// refresh brings the group of a changed definition up to date.
func (g crdGroups) refresh(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	changed, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok || g.builtIn[changed.Spec.Group] {
		return
	}
	all, err := g.lister.List(labels.Everything())
	if err != nil {
		return
	}
	served := sets.New[string]()
	for _, crd := range all {
		if crd.Spec.Group != changed.Spec.Group || !apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established) {
			continue
		}
		for _, v := range crd.Spec.Versions {
			if v.Served {
				served.Insert(v.Name)
			}
		}
	}
	if served.Len() == 0 {
		g.manager.RemoveGroup(changed.Spec.Group)
		return
	}
	versions := served.UnsortedList()
	sort.Slice(versions, func(i, j int) bool {
		return version.CompareKubeAwareVersionStrings(versions[i], versions[j]) > 0
	})
	g.manager.AddGroup(groupOf(changed.Spec.Group, versions...))
}
