package provisioner

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic/fake"

	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

func TestEnsureSnapshotClass(t *testing.T) {
	class := func(name, driver, isDefault string) *snapshotv1.VolumeSnapshotClass {
		return &snapshotv1.VolumeSnapshotClass{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{volumesnapshot.DefaultClass: isDefault}},
			Driver:     driver, DeletionPolicy: snapshotv1.Retain,
		}
	}
	for name, c := range map[string]struct {
		is                []runtime.Object
		isDefault, policy string
	}{
		"the first":               {nil, "true", "Delete"},
		"the user chose":          {[]runtime.Object{class("mine", volume.LocalProvisioner, "true")}, "", "Delete"},
		"the user did not choose": {[]runtime.Object{class("mine", volume.LocalProvisioner, "false")}, "true", "Delete"},
		"another driver":          {[]runtime.Object{class("its", "csi.example.com", "true")}, "true", "Delete"},
		"what users made of it":   {[]runtime.Object{class("local", volume.LocalProvisioner, "false")}, "false", "Retain"},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := snapshotv1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			client := fake.NewSimpleDynamicClient(scheme, c.is...)
			for range 2 { // at each start
				if err := EnsureSnapshotClass(t.Context(), client); err != nil {
					t.Fatal(err)
				}
			}
			all, err := client.Resource(snapshotv1.Classes).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for i := range all.Items {
				if one := &all.Items[i]; one.GetName() == ClassName {
					found++
					if policy := one.Object["deletionPolicy"]; one.GetAnnotations()[volumesnapshot.DefaultClass] != c.isDefault || policy != c.policy {
						t.Errorf("default: %q, %v; want %q, %s", one.GetAnnotations()[volumesnapshot.DefaultClass], policy, c.isDefault, c.policy)
					}
				}
			}
			if found != 1 {
				t.Errorf("there are %d classes of that name", found)
			}
		})
	}
}
