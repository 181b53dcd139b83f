package why

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	plan "berth.dev/berth/internal/plan/volume"
)

// What a set would wait for is said before it is made.
func TestForesee(t *testing.T) {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}}
	set.Spec.ServiceName = "db"
	set.Spec.Template.Labels = map[string]string{"app": "db"}
	template := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
	template.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	template.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")}
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{template}
	class := func(name, provisioner string, isDefault bool) *storagev1.StorageClass {
		c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner}
		if isDefault {
			c.Annotations = map[string]string{plan.DefaultClassAnnotation: "true"}
		}
		return c
	}
	service := func(app string) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "db"}}
		s.Spec.Selector = map[string]string{"app": app}
		return s
	}
	volume := func(size, class string) *corev1.PersistentVolume {
		v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-" + size}}
		v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
		v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany, corev1.ReadWriteOnce}
		v.Spec.StorageClassName = class
		return v
	}
	const claim = "spec.volumeClaimTemplates[data].spec."
	for name, c := range map[string]struct {
		facts  Facts
		asked  string // class
		bare   bool   // the class "" is asked for
		labels string // of the volume
		want   []string
	}{
		"all is there":              {facts: Facts{Services: []*corev1.Service{service("db")}, Classes: []*storagev1.StorageClass{class("local", "berth.dev/local", true)}}},
		"no Service":                {facts: Facts{Services: []*corev1.Service{}, Classes: []*storagev1.StorageClass{class("local", "berth.dev/local", true)}}, want: []string{"ServiceMissing statefulset/db spec.serviceName"}},
		"another's Service":         {facts: Facts{Services: []*corev1.Service{service("web")}, Classes: []*storagev1.StorageClass{class("local", "berth.dev/local", true)}}, want: []string{"ServiceSelectsNone service/db spec.selector"}},
		"no default class":          {facts: Facts{Classes: []*storagev1.StorageClass{class("local", "berth.dev/local", false)}}, want: []string{"ClaimNoClass statefulset/db " + claim + "storageClassName"}},
		"a class that is not there": {asked: "nfs-storageclass", facts: Facts{Classes: []*storagev1.StorageClass{class("local", "berth.dev/local", true)}}, want: []string{"ClaimClassMissing statefulset/db " + claim + "storageClassName"}},
		"volumes too small":         {asked: "static", facts: Facts{Volumes: []*corev1.PersistentVolume{volume("5Gi", "static")}, Classes: []*storagev1.StorageClass{class("static", "kubernetes.io/no-provisioner", false)}}, want: []string{"ClaimNoVolumeFits statefulset/db " + claim + "resources.requests.storage"}},
		"volumes of no class":       {asked: "", facts: Facts{Volumes: []*corev1.PersistentVolume{volume("50Gi", "static")}}, bare: true, want: []string{"ClaimNoVolumeFits statefulset/db " + claim + "storageClassName"}},
		"volumes of other labels":   {asked: "static", labels: "gold", facts: Facts{Volumes: []*corev1.PersistentVolume{volume("5Gi", "static"), volume("20Gi", "static"), volume("90Gi", "other")}, Classes: []*storagev1.StorageClass{class("static", "kubernetes.io/no-provisioner", false)}}, want: []string{"ClaimNoVolumeFits statefulset/db " + claim + "selector"}},
		"a volume that fits":        {asked: "static", facts: Facts{Volumes: []*corev1.PersistentVolume{volume("20Gi", "static")}, Classes: []*storagev1.StorageClass{class("static", "kubernetes.io/no-provisioner", false)}}},
	} {
		t.Run(name, func(t *testing.T) {
			set := set.DeepCopy()
			if c.asked != "" || c.bare {
				set.Spec.VolumeClaimTemplates[0].Spec.StorageClassName = &c.asked
			}
			if c.labels != "" {
				set.Spec.VolumeClaimTemplates[0].Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": c.labels}}
			}
			c.facts.Name = "shop"
			var got []string
			for _, a := range Foresee(&c.facts, set) {
				got = append(got, string(a.Reason)+" "+a.Change.Object+" "+a.Change.Field)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
