package staticpod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Independent is an error for a pod that needs objects of the API: a static pod
// has to run without it. The words are upstream's.
func Independent(pod *corev1.Pod) error {
	what, err := reference(pod)
	if err == nil && what != "" {
		err = fmt.Errorf("static pods may not reference %s", what)
	}
	return err
}

// reference names the first kind of object that the pod refers to.
func reference(pod *corev1.Pod) (string, error) {
	if pod.Spec.ServiceAccountName != "" {
		return "serviceaccounts", nil
	}
	secrets, configMaps := environment(&pod.Spec)
	switch {
	case secrets || len(pod.Spec.ImagePullSecrets) > 0:
		return "secrets", nil
	case configMaps:
		return "configmaps", nil
	case len(pod.Spec.ResourceClaims) > 0:
		return "resourceclaims", nil
	}
	for i := range pod.Spec.Volumes {
		if what, err := ofVolume(&pod.Spec.Volumes[i]); what != "" || err != nil {
			return what, err
		}
	}
	return "", nil
}

// environment says what containers' variables come from.
func environment(spec *corev1.PodSpec) (secrets, configMaps bool) {
	look := func(c *corev1.Container) {
		for _, e := range c.EnvFrom {
			secrets, configMaps = secrets || e.SecretRef != nil, configMaps || e.ConfigMapRef != nil
		}
		for _, e := range c.Env {
			if from := e.ValueFrom; from != nil {
				secrets, configMaps = secrets || from.SecretKeyRef != nil, configMaps || from.ConfigMapKeyRef != nil
			}
		}
	}
	for i := range spec.InitContainers {
		look(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		look(&spec.Containers[i])
	}
	return secrets, configMaps
}

func ofVolume(v *corev1.Volume) (string, error) {
	switch {
	case v.EmptyDir != nil, v.HostPath != nil, v.DownwardAPI != nil, v.NFS != nil, v.Image != nil, v.ISCSI != nil, v.FC != nil:
		return "", nil
	case v.ConfigMap != nil:
		return "configmaps (via configmap volumes)", nil
	case v.Secret != nil:
		return "secrets (via secret volumes)", nil
	case v.CSI != nil:
		return "csidrivers (via CSI volumes)", nil
	case v.PersistentVolumeClaim != nil:
		return "persistentvolumeclaims", nil
	case v.Ephemeral != nil:
		return "persistentvolumeclaims (via ephemeral volumes)", nil
	case v.Projected == nil:
		return "", fmt.Errorf("unknown volume type for volume %q", v.Name)
	}
	for _, s := range v.Projected.Sources {
		switch {
		case s.ConfigMap != nil:
			return "configmaps (via projected volumes)", nil
		case s.Secret != nil:
			return "secrets (via projected volumes)", nil
		case s.ServiceAccountToken != nil:
			return "serviceaccounts (via projected volumes)", nil
		case s.ClusterTrustBundle != nil:
			return "clustertrustbundles", nil
		case s.PodCertificate != nil:
			return "podcertificates", nil
		case s.DownwardAPI == nil:
			return "", fmt.Errorf("unknown source for projected volume %q", v.Name)
		}
	}
	return "", nil
}
