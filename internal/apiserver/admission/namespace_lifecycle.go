package admission

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
)

// newNamespaceLifecycle is the library's own plugin: nothing is created in a
// namespace that is not there or is going away, and three are never deleted.
func newNamespaceLifecycle(o Options) (*lifecycle.Lifecycle, error) {
	plugin, err := lifecycle.NewLifecycle(sets.New(metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic))
	if err != nil {
		return nil, err
	}
	plugin.SetExternalKubeInformerFactory(o.Informers)
	plugin.SetExternalKubeClientSet(o.Client)
	return plugin, plugin.ValidateInitialization()
}
