package node

import (
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// sweep removes the last traces of pods that nobody knows: an agent that was
// killed between the end of a pod and its clean-up left them. Every pod of the
// API and of the runtime has its worker by now, and later ones make theirs
// before anything else.
func (a *Agent) sweep() {
	own, _ := filepath.Glob(a.ownDirectory("*"))
	logs, _ := filepath.Glob(filepath.Join(a.cfg.Dir.PodLogs(), "*_*_*"))
	for _, dir := range append(logs, own...) {
		uid := types.UID(filepath.Base(dir))
		if i := strings.LastIndexByte(string(uid), '_'); i >= 0 {
			uid = uid[i+1:] // namespace_name_uid
		}
		if !a.Knows(uid) {
			a.removeTraces(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}}, dir)
		}
	}
}

// removeTraces removes a pod's cgroups and directories.
func (a *Agent) removeTraces(pod *corev1.Pod, logs ...string) {
	removeCgroup(a.cgroup(pod))
	for _, qos := range []corev1.PodQOSClass{corev1.PodQOSGuaranteed, corev1.PodQOSBurstable, corev1.PodQOSBestEffort} {
		other := pod.DeepCopy()
		other.Status.QOSClass = qos // an orphan's class is not known
		removeCgroup(a.cgroup(other))
	}
	a.unlinkLogs(logs...)
	for _, dir := range append(logs, a.ownDirectory(string(pod.UID))) {
		_ = os.RemoveAll(dir)
	}
	a.releaseUsers(pod.UID)
}
