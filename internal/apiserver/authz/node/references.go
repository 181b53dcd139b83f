package node

import (
	corev1 "k8s.io/api/core/v1"
)

// kind is what a pod can refer to.
type kind byte

const (
	secret kind = iota
	configMap
	claim
	serviceAccount
)

// reference is one object in a namespace.
type reference struct {
	kind            kind
	namespace, name string
}

// references returns what the node needs to run the pod, without duplicates.
func references(pod *corev1.Pod) []reference {
	seen := map[reference]bool{}
	var out []reference
	add := func(k kind, name string) {
		r := reference{k, pod.Namespace, name}
		if name != "" && !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	spec := &pod.Spec
	add(serviceAccount, spec.ServiceAccountName)
	for _, s := range spec.ImagePullSecrets {
		add(secret, s.Name)
	}
	for i := range spec.InitContainers {
		containerReferences(&spec.InitContainers[i], add)
	}
	for i := range spec.Containers {
		containerReferences(&spec.Containers[i], add)
	}
	for i := range spec.EphemeralContainers {
		c := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		containerReferences(&c, add)
	}
	for i := range spec.Volumes {
		volumeReferences(pod, &spec.Volumes[i], add)
	}
	return out
}

// Kinds says which kinds of objects a pod refers to.
type Kinds struct{ Secrets, ConfigMaps, Claims bool }

// Refers looks at all of a pod's references.
func Refers(pod *corev1.Pod) Kinds {
	var k Kinds
	for _, r := range references(pod) {
		switch r.kind {
		case secret:
			k.Secrets = true
		case configMap:
			k.ConfigMaps = true
		case claim:
			k.Claims = true
		}
	}
	return k
}

func containerReferences(c *corev1.Container, add func(kind, string)) {
	for _, from := range c.EnvFrom {
		if from.SecretRef != nil {
			add(secret, from.SecretRef.Name)
		}
		if from.ConfigMapRef != nil {
			add(configMap, from.ConfigMapRef.Name)
		}
	}
	for _, env := range c.Env {
		if env.ValueFrom == nil {
			continue
		}
		if r := env.ValueFrom.SecretKeyRef; r != nil {
			add(secret, r.Name)
		}
		if r := env.ValueFrom.ConfigMapKeyRef; r != nil {
			add(configMap, r.Name)
		}
	}
}

func volumeReferences(pod *corev1.Pod, v *corev1.Volume, add func(kind, string)) {
	local := func(r *corev1.LocalObjectReference) {
		if r != nil {
			add(secret, r.Name)
		}
	}
	switch s := v.VolumeSource; {
	case s.Secret != nil:
		add(secret, s.Secret.SecretName)
	case s.ConfigMap != nil:
		add(configMap, s.ConfigMap.Name)
	case s.PersistentVolumeClaim != nil:
		add(claim, s.PersistentVolumeClaim.ClaimName)
	case s.Ephemeral != nil:
		add(claim, pod.Name+"-"+v.Name)
	case s.Projected != nil:
		for _, from := range s.Projected.Sources {
			if from.Secret != nil {
				add(secret, from.Secret.Name)
			}
			if from.ConfigMap != nil {
				add(configMap, from.ConfigMap.Name)
			}
		}
	case s.CSI != nil:
		local(s.CSI.NodePublishSecretRef)
	case s.AzureFile != nil:
		add(secret, s.AzureFile.SecretName)
	case s.CephFS != nil:
		local(s.CephFS.SecretRef)
	case s.Cinder != nil:
		local(s.Cinder.SecretRef)
	case s.FlexVolume != nil:
		local(s.FlexVolume.SecretRef)
	case s.RBD != nil:
		local(s.RBD.SecretRef)
	case s.ScaleIO != nil:
		local(s.ScaleIO.SecretRef)
	case s.ISCSI != nil:
		local(s.ISCSI.SecretRef)
	case s.StorageOS != nil:
		local(s.StorageOS.SecretRef)
	}
}

// volumeSecrets returns the secrets that a node needs to mount a volume of the
// claim in claimNamespace.
func volumeSecrets(pv *corev1.PersistentVolume, claimNamespace string) []reference {
	var out []reference
	add := func(r *corev1.SecretReference) {
		if r == nil || r.Name == "" {
			return
		}
		in := r.Namespace
		if in == "" {
			in = claimNamespace
		}
		out = append(out, reference{secret, in, r.Name})
	}
	switch s := pv.Spec.PersistentVolumeSource; {
	case s.CSI != nil:
		// The controller's secrets are not the node's business.
		add(s.CSI.NodePublishSecretRef)
		add(s.CSI.NodeStageSecretRef)
		add(s.CSI.NodeExpandSecretRef)
	case s.AzureFile != nil:
		r := &corev1.SecretReference{Name: s.AzureFile.SecretName}
		if s.AzureFile.SecretNamespace != nil {
			r.Namespace = *s.AzureFile.SecretNamespace
		}
		add(r)
	case s.CephFS != nil:
		add(s.CephFS.SecretRef)
	case s.Cinder != nil:
		add(s.Cinder.SecretRef)
	case s.FlexVolume != nil:
		add(s.FlexVolume.SecretRef)
	case s.RBD != nil:
		add(s.RBD.SecretRef)
	case s.ScaleIO != nil:
		add(s.ScaleIO.SecretRef)
	case s.ISCSI != nil:
		add(s.ISCSI.SecretRef)
	}
	return out
}
