package aggregation

import (
	"net/http"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"
	"k8s.io/kube-aggregator/pkg/apiserver/scheme"
)

// serveGroups answers /apis with the groups of all servers.
func (a *Aggregator) serveGroups(w http.ResponseWriter, req *http.Request) {
	list := &metav1.APIGroupList{}
	for _, versions := range a.known() {
		if versions[0].Spec.Group != "" {
			list.Groups = append(list.Groups, groupDoc(versions))
		}
	}
	write(w, req, list)
}

// serveGroup answers /apis/<group>; false means that nobody here knows the group.
func (a *Aggregator) serveGroup(w http.ResponseWriter, req *http.Request, group string) bool {
	for _, versions := range a.known() {
		if versions[0].Spec.Group == group {
			doc := groupDoc(versions)
			write(w, req, &doc)
			return true
		}
	}
	return false
}

func write(w http.ResponseWriter, req *http.Request, doc runtime.Object) {
	responsewriters.WriteObjectNegotiated(scheme.Codecs, negotiation.DefaultEndpointRestrictions, schema.GroupVersion{}, w, req, http.StatusOK, doc, false)
}

func groupDoc(versions []*apiregistrationv1.APIService) metav1.APIGroup {
	doc := metav1.APIGroup{Name: versions[0].Spec.Group}
	for _, s := range versions {
		doc.Versions = append(doc.Versions, metav1.GroupVersionForDiscovery{
			GroupVersion: s.Spec.Group + "/" + s.Spec.Version, Version: s.Spec.Version,
		})
	}
	doc.PreferredVersion = doc.Versions[0]
	return doc
}

// known are the group versions that somebody answers for, by group and in the
// order of discovery: what this server serves, whether its APIServices have
// been written yet or not, and what remote APIServices add.
func (a *Aggregator) known() [][]*apiregistrationv1.APIService {
	byName := map[string]*apiregistrationv1.APIService{}
	for _, gv := range a.o.BuiltIn {
		s := local(gv, PrioritiesOf(gv))
		byName[s.Name] = s
	}
	crds, err := a.o.CRDs.Lister().List(labels.Everything())
	if err == nil {
		for _, crd := range crds {
			if apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established) {
				addCustom(byName, crd)
			}
		}
	}
	stored, err := a.services.List(labels.Everything())
	if err == nil {
		for _, s := range stored {
			if byName[s.Name] != nil || s.Spec.Service != nil {
				byName[s.Name] = s
			}
		}
	}
	all := make([]*apiregistrationv1.APIService, 0, len(byName))
	for _, s := range byName {
		all = append(all, s)
	}
	return helper.SortedByGroupAndVersion(all)
}

func addCustom(byName map[string]*apiregistrationv1.APIService, crd *apiextensionsv1.CustomResourceDefinition) {
	for _, v := range crd.Spec.Versions {
		s := local(schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name}, custom)
		if v.Served && byName[s.Name] == nil {
			byName[s.Name] = s
		}
	}
}
