package sim

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/api/defaults"
)

// setDefaults fills what the API server would.
func setDefaults(obj client.Object) {
	switch o := obj.(type) {
	case *appsv1.StatefulSet:
		defaults.StatefulSet(o)
	case *corev1.Pod:
		defaults.Pod(o)
	case *corev1.PersistentVolumeClaim:
		defaults.PersistentVolumeClaim(o)
	case *corev1.PersistentVolume:
		defaults.PersistentVolume(o)
	case *corev1.Service:
		defaults.Service(o)
	case *corev1.Node:
		defaults.Node(o)
	case *corev1.Namespace:
		defaults.Namespace(o)
	case *storagev1.StorageClass:
		defaults.StorageClass(o)
	}
}
