package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/network/cni/plugin"
	"berth.dev/berth/internal/network/link"
)

// undoTimeout is how long the plugins of one sandbox may take to clean up.
const undoTimeout = 30 * time.Second

// attached is what was made for one sandbox beside the wire. It is written down
// before it is made, so that whoever comes after a crash can undo it.
type attached struct {
	Namespace   string          `json:"namespace"`
	Name        string          `json:"name"`
	UID         string          `json:"uid"`
	ContainerID string          `json:"containerID"`
	IfName      string          `json:"ifName"`
	NetNS       string          `json:"netns"` // where the runtime keeps it
	Chains      []*plugin.Chain `json:"chains"`
}

// records are the files of attached sandboxes.
type records struct {
	dir  string
	path plugin.Path
}

// recordsOf are those of an instance; bundle holds the programs that came with it.
func recordsOf(dir datadir.Dir, bundle string) records {
	return records{dir: dir.CNICache(), path: plugin.Path{filepath.Join(bundle, "cni"), "/opt/cni/bin"}}
}

func (r records) file(containerID string) string {
	return filepath.Join(r.dir, filepath.Base(containerID)+".json")
}

func (r records) write(a *attached) error {
	text, err := json.Marshal(a)
	if err == nil {
		err = os.MkdirAll(r.dir, 0o700)
	}
	if err == nil {
		err = datadir.WriteFile(r.file(a.ContainerID), text)
	}
	if err != nil {
		return fmt.Errorf("note the networks of a sandbox: %w", err)
	}
	return nil
}

// read returns nil for a sandbox that has none.
func (r records) read(containerID string) (*attached, error) {
	text, err := os.ReadFile(r.file(containerID))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	a := &attached{}
	if err == nil {
		err = json.Unmarshal(text, a)
	}
	if err != nil {
		return nil, fmt.Errorf("the note about the networks of sandbox %s: %w", containerID, err)
	}
	return a, nil
}

func (r records) list() ([]*attached, error) {
	files, err := filepath.Glob(filepath.Join(r.dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var out []*attached
	var problems []error
	for _, f := range files {
		id := filepath.Base(f)
		a, err := r.read(id[:len(id)-len(".json")])
		problems = append(problems, err)
		if a != nil {
			out = append(out, a)
		}
	}
	return out, errors.Join(problems...)
}

// undo takes the interfaces of a sandbox away; netns is empty when it is gone. The
// note goes last, so that nothing is forgotten that was not undone.
func (r records) undo(ctx context.Context, a *attached, netns string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	var problems []error
	for i := len(a.Chains) - 1; i >= 0; i-- {
		problems = append(problems, r.path.Del(ctx, a.Chains[i], netns))
	}
	problems = append(problems, link.Detach(link.HostName(a.ContainerID, a.IfName)))
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("networks of pod %s/%s: %w", a.Namespace, a.Name, err)
	}
	if err := os.Remove(r.file(a.ContainerID)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the networks of pod %s/%s: %w", a.Namespace, a.Name, err)
	}
	return nil
}

// gone reports whether the runtime has taken the sandbox's namespace away.
func (a *attached) gone() bool {
	_, err := os.Stat(a.NetNS)
	return a.NetNS == "" || errors.Is(err, os.ErrNotExist)
}
