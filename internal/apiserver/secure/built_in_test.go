package secure_test

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Spiderpool's chart and Multus' manifest bring definitions of kinds that are
// served anyway.
func TestBuiltInKinds(t *testing.T) {
	c := start(t)
	client, err := extensions.NewForConfig(c.As("admin", "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ group, plural, kind, says string }{
		{"spiderpool.spidernet.io", "spiderippools", "SpiderIPPool", "the kinds of spiderpool.spidernet.io are built into Berth: "},
		{"k8s.cni.cncf.io", "network-attachment-definitions", "NetworkAttachmentDefinition", "the kinds of k8s.cni.cncf.io are built into Berth: "},
		{"snapshot.storage.k8s.io", "volumesnapshots", "VolumeSnapshot", "the kinds of snapshot.storage.k8s.io are built into Berth: "},
		{"groupsnapshot.storage.k8s.io", "volumegroupsnapshots", "VolumeGroupSnapshot", ""},
		{"spidernet.io", "boats", "Boat", ""},
	} {
		name := x.plural + "." + x.group
		_, err := client.ApiextensionsV1().CustomResourceDefinitions().Create(t.Context(), &apiextensionsv1.CustomResourceDefinition{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{apiextensionsv1.KubeAPIApprovedAnnotation: "https://example.com/1"}},
			Spec: apiextensionsv1.CustomResourceDefinitionSpec{
				Group: x.group, Scope: apiextensionsv1.ClusterScoped, Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: x.plural, Kind: x.kind},
				Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
					Name: "v1", Served: true, Storage: true,
					Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}},
				}},
			},
		}, metav1.CreateOptions{})
		want := `customresourcedefinitions.apiextensions.k8s.io "` + name + `" is forbidden: ` + x.says + "use them as they are, and do not install the chart or manifest that defines them"
		if x.says == "" && err != nil || x.says != "" && (!apierrors.IsForbidden(err) || err.Error() != want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}
