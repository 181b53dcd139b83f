package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// oomScore is upstream's, as far as this process may set it.
func (a *Agent) oomScore(pod *corev1.Pod, c *corev1.Container) int64 {
	return max(podspec.OOMScore(pod, c, a.memory), a.oomFloor)
}

func (w *worker) environment(pod *corev1.Pod, c *corev1.Container, sandbox podsync.Sandbox) ([]podspec.Variable, error) {
	a := w.agent
	from := podspec.Sources{
		PodIPs: sandbox.IPs, HostIPs: a.hostIPs(),
		ConfigMap: func(name string) (*corev1.ConfigMap, error) {
			m, err := a.cfg.Client.CoreV1().ConfigMaps(pod.Namespace).Get(w.going, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil, nil
			}
			return m, err
		},
		Secret: func(name string) (*corev1.Secret, error) {
			s, err := a.cfg.Client.CoreV1().Secrets(pod.Namespace).Get(w.going, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil, nil
			}
			return s, err
		},
		File: func(volume, path string) (string, bool, error) {
			text, err := w.fileIn(volume, path)
			return text, errors.Is(err, fs.ErrNotExist), err
		},
	}
	if pod.Spec.HostNetwork {
		from.PodIPs = from.HostIPs
	}
	if node := a.cfg.Node(); node != nil {
		from.Allocatable = node.Status.Allocatable
	}
	for _, o := range a.services.List() {
		from.Services = append(from.Services, o.(*corev1.Service))
	}
	env, invalid, err := podspec.Environment(pod, c, from)
	for _, message := range invalid {
		a.event(pod, c.Name, corev1.EventTypeWarning, "InvalidEnvironmentVariableNames", message)
	}
	return env, err
}

// ownDirectory holds what the agent itself keeps for a pod.
func (a *Agent) ownDirectory(uid string) string {
	return filepath.Join(a.cfg.Dir.Kubelet(), "containers", uid)
}

// mountsOf are the container's mounts: its volumes, /etc/hosts and the
// termination log.
func (w *worker) mountsOf(pod *corev1.Pod, c *corev1.Container, attempt int32, env []podspec.Variable, sandbox podsync.Sandbox, images map[string]*runtimeapi.ImageSpec) ([]*runtimeapi.Mount, error) {
	var out []*runtimeapi.Mount
	hosts := true
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		hosts = hosts && filepath.Clean(m.MountPath) != "/etc/hosts"
		mount, err := w.volumeMount(pod, c, i, env, images)
		if err != nil {
			return nil, err
		}
		out = append(out, mount)
	}
	dir := w.agent.ownDirectory(string(pod.UID))
	if err := os.MkdirAll(filepath.Join(dir, c.Name), 0o750); err != nil {
		return nil, fmt.Errorf("making the container's directory: %w", err)
	}
	if hosts {
		path := filepath.Join(dir, "etc-hosts")
		if err := w.writeHosts(pod, path, sandbox.IPs); err != nil {
			return nil, err
		}
		out = append(out, &runtimeapi.Mount{ContainerPath: "/etc/hosts", HostPath: path})
	}
	if c.TerminationMessagePath != "" {
		path := filepath.Join(dir, c.Name, strconv.Itoa(int(attempt)))
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			return nil, fmt.Errorf("making the container's termination log: %w", err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return nil, fmt.Errorf("making the container's termination log: %w", err)
		}
		out = append(out, &runtimeapi.Mount{ContainerPath: c.TerminationMessagePath, HostPath: path})
	}
	return out, nil
}

func (w *worker) writeHosts(pod *corev1.Pod, path string, ips []string) error {
	own := ""
	if pod.Spec.HostNetwork {
		if text, err := os.ReadFile("/etc/hosts"); err == nil {
			own = string(text)
		}
	}
	// Written in place: the containers have this very file mounted.
	if err := os.WriteFile(path, []byte(podspec.HostsFile(pod, ips, w.agent.cfg.ClusterDomain, own)), 0o644); err != nil {
		return fmt.Errorf("writing the pod's hosts file: %w", err)
	}
	return nil
}

// volumeMount is one entry of volumeMounts.
func (w *worker) volumeMount(pod *corev1.Pod, c *corev1.Container, index int, env []podspec.Variable, images map[string]*runtimeapi.ImageSpec) (*runtimeapi.Mount, error) {
	m := &c.VolumeMounts[index]
	sub := m.SubPath
	if m.SubPathExpr != "" {
		var err error
		if sub, err = podspec.ExpandWhole(m.SubPathExpr, env); err != nil {
			return nil, err
		}
	}
	if spec := images[m.Name]; spec != nil {
		return imageMount(m, spec, sub), nil
	}
	w.mu.Lock()
	path, ok := w.paths[m.Name]
	w.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("cannot find volume %q to mount into container %q", m.Name, c.Name)
	}
	recursive, err := w.agent.recursiveReadOnly(m)
	if err != nil {
		return nil, err
	}
	if sub != "" {
		if path, err = w.subPath(pod, c, index, path, sub); err != nil {
			return nil, err
		}
	}
	return &runtimeapi.Mount{
		ContainerPath: absolute(m.MountPath), HostPath: path, Readonly: m.ReadOnly || onlyRead(pod, m.Name), Propagation: cri.Propagation(m),
		RecursiveReadOnly: recursive,
	}, nil
}

func absolute(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

// onlyRead says whether no container may write to a volume, whatever its mount
// says: files that the API's objects are written to, and what is taken for reading.
func onlyRead(pod *corev1.Pod, volume string) bool {
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.Name == volume {
			claim := v.PersistentVolumeClaim
			return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil || claim != nil && claim.ReadOnly ||
				v.NFS != nil && v.NFS.ReadOnly || v.CSI != nil && v.CSI.ReadOnly != nil && *v.CSI.ReadOnly
		}
	}
	return false
}

func (w *worker) subPath(pod *corev1.Pod, c *corev1.Container, index int, root, sub string) (string, error) {
	if filepath.IsAbs(sub) {
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", sub)
	}
	if w.agent.cfg.SubPath == nil {
		return "", fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q", c.VolumeMounts[index].Name, c.Name)
	}
	return w.agent.cfg.SubPath(w.going, SubPath{
		Pod: pod.UID, Volume: c.VolumeMounts[index].Name, Container: c.Name, Index: index, Root: root, Path: sub,
	})
}

// removeFiles removes what a removed container leaves.
func (a *Agent) removeFiles(r cri.Record) {
	a.unlinkLog(r.ID)
	for _, pattern := range []string{r.LogPath, r.LogPath + ".*"} {
		if r.LogPath == "" {
			continue
		}
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			_ = os.Remove(path)
		}
	}
}

// clean removes the last traces of a pod that is over.
func (w *worker) clean() {
	w.mu.Lock()
	pod := w.pod
	w.mu.Unlock()
	w.agent.removeTraces(pod, w.agent.logDirectory(pod))
}

// awaitSources tries a container again as soon as a ConfigMap or Secret that
// its environment comes from appears or changes.
func (w *worker) awaitSources(pod *corev1.Pod, container string) {
	c := containerNamed(pod, container)
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(w.going, podsync.RetryDelay)
	for _, s := range sources(c) {
		w.agent.ops.Go(func() {
			if w.agent.awaitChange(ctx, pod.Namespace, s) {
				cancel()
				w.change(func() {
					record := w.records[container]
					record.Failure = nil
					w.records[container] = record
				})
			}
		})
	}
	context.AfterFunc(ctx, cancel)
}
