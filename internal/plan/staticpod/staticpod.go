// Package staticpod says what a node makes of a pod that a file on it describes,
// and how the API shows such a pod: by a mirror, a pod that tells of the static
// one and does nothing. A static pod's UID is made from what the file says, so
// the same file is the same pod after a restart, and another text is another pod.
package staticpod

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// The annotations that tell static pods and their mirrors.
const (
	Source = "kubernetes.io/config.source"
	Hash   = "kubernetes.io/config.hash"
	Seen   = "kubernetes.io/config.seen"
	Mirror = corev1.MirrorPodAnnotationKey
)

// Complete makes a pod out of what a file says. It is to be called before any
// default is set: the UID must not change when the defaults do.
func Complete(pod *corev1.Pod, node, file, seen string) error {
	if pod.Name == "" {
		return fmt.Errorf("invalid pod: name is needed for the pod")
	}
	if pod.UID == "" {
		text, err := json.Marshal(pod)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(fmt.Appendf(text, "host:%s\nfile:%s", node, file))
		pod.UID = types.UID(hex.EncodeToString(sum[:16]))
	}
	pod.Name += "-" + strings.ToLower(node)
	if pod.Namespace == "" {
		pod.Namespace = metav1.NamespaceDefault
	}
	pod.Spec.NodeName = node
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, Hash, string(pod.UID))
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, Source, "file")
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, Seen, seen)
	tolerate(&pod.Spec)
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	return nil
}

// tolerate lets nothing on the node drive the pod away.
func tolerate(spec *corev1.PodSpec) {
	all := corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
	for i := range spec.Tolerations {
		if spec.Tolerations[i].MatchToleration(&all) {
			return
		}
	}
	spec.Tolerations = append(spec.Tolerations, all)
}

// IsMirror is true for a pod that only tells of a static one.
func IsMirror(pod *corev1.Pod) bool {
	_, is := pod.Annotations[Mirror]
	return is
}

// Identity is the UID by which a node runs a pod of the API.
func Identity(pod *corev1.Pod) types.UID {
	if of, is := pod.Annotations[Mirror]; is {
		return types.UID(of)
	}
	return pod.UID
}

// MirrorOf is what the API is to show of a static pod.
func MirrorOf(pod *corev1.Pod, node *corev1.Node) *corev1.Pod {
	m := pod.DeepCopy()
	m.UID, m.Status = "", corev1.PodStatus{}
	metav1.SetMetaDataAnnotation(&m.ObjectMeta, Mirror, string(pod.UID))
	m.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: ptr.To(true),
	}}
	return m
}

// Begin is the status that a static pod goes on from when its mirror is known.
// One that the node itself has ended is begun anew: a static pod stays as long
// as its file does.
func Begin(mirror *corev1.Pod) corev1.PodStatus {
	if mirror == nil || mirror.Status.Phase == corev1.PodFailed && mirror.Status.Reason != "" {
		return corev1.PodStatus{Phase: corev1.PodPending}
	}
	return mirror.Status
}
