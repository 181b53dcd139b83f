package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// LogLinks says where links to containers' logs are kept for log shippers.
type LogLinks struct {
	// Dir holds the links; "" makes none.
	Dir string
	// Pods is where the pods' logs are for those who follow a link.
	Pods string
}

// linkLog links a container's log by the name that a kubelet gives it.
func (a *Agent) linkLog(pod *corev1.Pod, container, id, logPath string) {
	l := a.cfg.LogLinks
	inside, err := filepath.Rel(a.cfg.Dir.PodLogs(), logPath)
	if l.Dir == "" || err != nil || strings.HasPrefix(inside, "..") {
		return
	}
	link := filepath.Join(l.Dir, fmt.Sprintf("%s_%s_%s-%s.log", pod.Name, pod.Namespace, container, id))
	if err := os.Symlink(filepath.Join(l.Pods, inside), link); err != nil && !os.IsExist(err) {
		a.cfg.Log.Warn("linking a container's log failed", "link", link, "error", err)
	}
}

// unlinkLog removes a container's link.
func (a *Agent) unlinkLog(id string) {
	if a.cfg.LogLinks.Dir == "" {
		return
	}
	links, _ := filepath.Glob(filepath.Join(a.cfg.LogLinks.Dir, "*-"+id+".log"))
	for _, link := range links {
		_ = os.Remove(link)
	}
}

// unlinkLogs removes the links that lead into a folder.
func (a *Agent) unlinkLogs(folders ...string) {
	l := a.cfg.LogLinks
	if l.Dir == "" {
		return
	}
	links, _ := filepath.Glob(filepath.Join(l.Dir, "*.log"))
	for _, link := range links {
		to, err := os.Readlink(link)
		for _, folder := range folders {
			if err == nil && strings.HasPrefix(to, filepath.Join(l.Pods, filepath.Base(folder))+"/") {
				_ = os.Remove(link)
			}
		}
	}
}
