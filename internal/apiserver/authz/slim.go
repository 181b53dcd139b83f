package authz

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// slim sets the transform on every informer that the API server itself uses.
func slim(f informers.SharedInformerFactory) error {
	core, roles := f.Core().V1(), f.Rbac().V1()
	for _, informer := range []cache.SharedIndexInformer{
		core.Pods().Informer(), core.PersistentVolumes().Informer(), core.Nodes().Informer(), core.ServiceAccounts().Informer(),
		roles.Roles().Informer(), roles.RoleBindings().Informer(), roles.ClusterRoles().Informer(), roles.ClusterRoleBindings().Informer(),
	} {
		if err := informer.SetTransform(Slim); err != nil {
			return err
		}
	}
	return nil
}

// Slim is an informer transform: it drops what the API server's own informers
// never look at. Managed fields go from every object. Of a pod there remain
// its metadata, node, service account, volumes and the references of its
// containers; of a secret or config map no data.
func Slim(obj any) (any, error) {
	meta, ok := obj.(metav1.Object)
	if !ok {
		return obj, nil
	}
	meta.SetManagedFields(nil)
	switch o := obj.(type) {
	case *corev1.Pod:
		slimPod(o)
	case *corev1.Node:
		o.Status = corev1.NodeStatus{}
	case *corev1.Secret:
		o.Data, o.StringData = nil, nil
	case *corev1.ConfigMap:
		o.Data, o.BinaryData = nil, nil
	}
	return obj, nil
}

func slimPod(pod *corev1.Pod) {
	s := pod.Spec
	spec := corev1.PodSpec{
		NodeName:           s.NodeName,
		ServiceAccountName: s.ServiceAccountName,
		ImagePullSecrets:   s.ImagePullSecrets,
		Volumes:            s.Volumes,
	}
	for i := range s.InitContainers {
		spec.InitContainers = appendReferring(spec.InitContainers, &s.InitContainers[i])
	}
	for i := range s.Containers {
		spec.Containers = appendReferring(spec.Containers, &s.Containers[i])
	}
	// All of them, because the node's graph looks at how many there are.
	for i := range s.EphemeralContainers {
		c := &s.EphemeralContainers[i]
		spec.EphemeralContainers = append(spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: c.Name, Env: referring(c.Env), EnvFrom: c.EnvFrom},
		})
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: ""}
	} else {
		pod.Annotations = nil
	}
	pod.Labels = nil
	pod.Spec = spec
	pod.Status = corev1.PodStatus{}
}

func appendReferring(to []corev1.Container, c *corev1.Container) []corev1.Container {
	env := referring(c.Env)
	if len(env)+len(c.EnvFrom) == 0 {
		return to
	}
	return append(to, corev1.Container{Name: c.Name, Env: env, EnvFrom: c.EnvFrom})
}

func referring(env []corev1.EnvVar) []corev1.EnvVar {
	var out []corev1.EnvVar
	for _, e := range env {
		if e.ValueFrom != nil && (e.ValueFrom.SecretKeyRef != nil || e.ValueFrom.ConfigMapKeyRef != nil) {
			out = append(out, e)
		}
	}
	return out
}
