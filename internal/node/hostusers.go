package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/plan/userns"
)

// usersFile is the kubelet's name for the record of a pod's users.
const usersFile = "userns"

// users are the node's users that pods have as theirs. What a pod has is on the
// disk before anything runs with it, and is given back with the pod's last trace.
type users struct {
	mu   sync.Mutex
	pool userns.Pool
	has  map[types.UID]uint32
	// broken are pods whose record cannot be read: as long as there is one nobody
	// gets any. wrong is what is wrong with the node's own settings.
	broken map[types.UID]error
	wrong  error
}

// loadUsers reads what pods have.
func (a *Agent) loadUsers() {
	u := &a.users
	u.has, u.broken = map[types.UID]uint32{}, map[types.UID]error{}
	maxPods := a.cfg.MaxPods
	u.pool = userns.DefaultPool(maxPods)
	subuid, _ := os.ReadFile("/etc/subuid")
	subgid, _ := os.ReadFile("/etc/subgid")
	if pool, ok, err := userns.ParsePool(string(subuid), string(subgid), "kubelet", maxPods); err != nil {
		u.wrong = fmt.Errorf("kubelet mappings: %w", err)
	} else if ok {
		u.pool = pool
	}
	files, _ := filepath.Glob(filepath.Join(a.ownDirectory("*"), usersFile))
	for _, file := range files {
		data, err := os.ReadFile(file)
		first := uint32(0)
		if err == nil {
			first, err = userns.Read(data)
		}
		uid := types.UID(filepath.Base(filepath.Dir(file)))
		if err != nil {
			u.broken[uid] = fmt.Errorf("record pod mappings for existing pod %q: %w", uid, err)
			continue
		}
		u.has[uid] = first
	}
}

// usersOf are the users that a pod with a sandbox has, nil for the node's own.
func (a *Agent) usersOf(pod *corev1.Pod) (*runtimeapi.UserNamespace, error) {
	if pod.Spec.HostUsers == nil || *pod.Spec.HostUsers {
		return nil, nil
	}
	a.users.mu.Lock()
	defer a.users.mu.Unlock()
	first, ok := a.users.has[pod.UID]
	if !ok {
		return nil, errors.New("user namespace: the node has lost the record of which users the pod has; delete the pod")
	}
	return mapped(first), nil
}

func mapped(first uint32) *runtimeapi.UserNamespace {
	m := []*runtimeapi.IDMapping{{HostId: first, ContainerId: 0, Length: userns.Length}}
	return &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: m, Gids: m}
}

// giveUsers are the users that a pod's sandbox gets.
func (a *Agent) giveUsers(pod *corev1.Pod, handler string) (*runtimeapi.UserNamespace, error) {
	if pod.Spec.HostUsers == nil || *pod.Spec.HostUsers {
		return nil, nil
	}
	if !a.hasFeature(handler, func(f *corev1.NodeRuntimeHandlerFeatures) *bool { return f.UserNamespaces }) {
		// Running it as the node's users would be less than what was asked for.
		if handler != "" {
			return nil, fmt.Errorf("can't set `spec.hostUsers: false`, RuntimeClass handler %q does not support user namespaces", handler)
		}
		return nil, errors.New("can't set `spec.hostUsers: false`, runtime does not support user namespaces")
	}
	if a.cfg.Endpoint == a.cfg.Dir.CRISocket() {
		if dir := closed(a.cfg.Dir.Containerd()); dir != "" {
			return nil, fmt.Errorf("can't set `spec.hostUsers: false`, %s is closed to the pod's users, whose files lie below: allow others to pass (chmod o+x) or use another --data-dir", dir)
		}
	}
	first, err := a.firstUser(pod.UID)
	if err != nil {
		return nil, err
	}
	return mapped(first), nil
}

func (a *Agent) firstUser(uid types.UID) (uint32, error) {
	u := &a.users
	u.mu.Lock()
	defer u.mu.Unlock()
	if first, ok := u.has[uid]; ok {
		return first, nil
	}
	for _, err := range u.broken {
		return 0, fmt.Errorf("user namespace: %w", err)
	}
	if u.wrong != nil {
		return 0, fmt.Errorf("user namespace: %w", u.wrong)
	}
	taken := make(map[uint32]bool, len(u.has))
	for _, first := range u.has {
		taken[first] = true
	}
	first, err := u.pool.Choose(func(first uint32) bool { return taken[first] })
	if err != nil {
		return 0, fmt.Errorf("create user namespace: %w", err)
	}
	data, err := userns.Write(first)
	if err != nil {
		return 0, fmt.Errorf("create user namespace: %w", err)
	}
	dir := a.ownDirectory(string(uid))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return 0, fmt.Errorf("create user namespace: %w", err)
	}
	if err := datadir.WriteFile(filepath.Join(dir, usersFile), data); err != nil {
		return 0, fmt.Errorf("create user namespace: %w", err)
	}
	u.has[uid] = first
	return first, nil
}

// closed is the first folder on the way to path that other users cannot pass.
func closed(path string) string {
	for at := "/"; ; {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm()&0o001 == 0 {
			return at
		}
		if at == path {
			return ""
		}
		rest, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, at), "/"), "/")
		at = filepath.Join(at, rest)
	}
}

// releaseUsers gives back what a pod had, of which nothing is left.
func (a *Agent) releaseUsers(uid types.UID) {
	a.users.mu.Lock()
	defer a.users.mu.Unlock()
	if _, err := os.Lstat(filepath.Join(a.ownDirectory(string(uid)), usersFile)); errors.Is(err, fs.ErrNotExist) {
		delete(a.users.has, uid)
		delete(a.users.broken, uid)
	}
}

// hasFeature is what the runtime said of a handler.
func (a *Agent) hasFeature(handler string, feature func(*corev1.NodeRuntimeHandlerFeatures) *bool) bool {
	node := a.cfg.Node()
	if node == nil {
		return false
	}
	for _, h := range node.Status.RuntimeHandlers {
		if h.Name == handler && h.Features != nil {
			has := feature(h.Features)
			return has != nil && *has
		}
	}
	return false
}
