// Package userns says which users of the node the pods with a user namespace of
// their own get: a range for each, never one that another pod has.
package userns

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Length is how many users a pod gets, as upstream's by default: all that a
// program of 16 bits can name.
const Length = 65536

// Pool are the users of the node that pods may get, a multiple of Length from a
// multiple of Length on. The first range is never among them: it is the node's.
type Pool struct{ First, Count uint32 }

// DefaultPool has a range for each pod that the node may run.
func DefaultPool(maxPods int) Pool { return Pool{First: Length, Count: uint32(maxPods) * Length} }

// ParsePool is what /etc/subuid and /etc/subgid give to a user, ok false when
// they do not mention it: the kubelet's, by whose name upstream looks.
func ParsePool(subuid, subgid, user string, maxPods int) (pool Pool, ok bool, err error) {
	users, ok, err := subordinate(subuid, user)
	if err != nil || !ok {
		return Pool{}, false, err
	}
	groups, ok, err := subordinate(subgid, user)
	switch {
	case err != nil || !ok:
		return Pool{}, false, err
	case users != groups:
		return Pool{}, false, fmt.Errorf("mapped users and groups must be the same: %d:%d and %d:%d", users.First, users.Count, groups.First, groups.Count)
	}
	return users, true, users.check(maxPods)
}

func subordinate(text, user string) (Pool, bool, error) {
	var found []string
	for line := range strings.Lines(text) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); fields[0] == user {
			found = fields
			break
		}
	}
	if found == nil {
		return Pool{}, false, nil
	}
	if len(found) != 3 {
		return Pool{}, false, fmt.Errorf("subordinate ids of %s: %q is not user:first:count", user, strings.Join(found, ":"))
	}
	first, err := strconv.ParseUint(found[1], 10, 32)
	count, err2 := strconv.ParseUint(found[2], 10, 32)
	if err := errors.Join(err, err2); err != nil {
		return Pool{}, false, fmt.Errorf("subordinate ids of %s: %w", user, err)
	}
	return Pool{First: uint32(first), Count: uint32(count)}, true, nil
}

func (p Pool) check(maxPods int) error {
	switch {
	case p.First%Length != 0:
		return fmt.Errorf("kubelet user assigned ID %d is not a multiple of %d", p.First, Length)
	case p.First < Length:
		return fmt.Errorf("kubelet user assigned ID %d must be greater or equal to %d", p.First, Length)
	case p.Count%Length != 0:
		return fmt.Errorf("kubelet user assigned IDs length %d is not a multiple of %d", p.Count, Length)
	case int64(p.Count/Length) < int64(maxPods):
		return fmt.Errorf("kubelet user assigned IDs are not enough to support %d pods", maxPods)
	case uint64(p.First)+uint64(p.Count) > 1<<32-1:
		return fmt.Errorf("kubelet user assigned IDs %d:%d end beyond the last one", p.First, p.Count)
	}
	return nil
}

// Choose is the first user of a range that is not used.
func (p Pool) Choose(used func(first uint32) bool) (uint32, error) {
	for i := range p.Count / Length {
		if first := p.First + i*Length; !used(first) {
			return first, nil
		}
	}
	return 0, errors.New("could not find an empty slot to allocate a user namespace")
}

// mapping and record are the kubelet's file of a pod.
type mapping struct {
	Host      uint32 `json:"hostId"`
	Container uint32 `json:"containerId"`
	Length    uint32 `json:"length"`
}

type record struct {
	Users  []mapping `json:"uidMappings"`
	Groups []mapping `json:"gidMappings"`
}

// Write is the record of a pod whose users begin at first.
func Write(first uint32) ([]byte, error) {
	m := []mapping{{Host: first, Length: Length}}
	return json.Marshal(record{Users: m, Groups: m})
}

// Read is the first user of a recorded range.
func Read(data []byte) (uint32, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return 0, fmt.Errorf("invalid user namespace mappings file: %w", err)
	}
	switch {
	case len(r.Users) != 1 || len(r.Groups) != 1 || r.Users[0] != r.Groups[0]:
		return 0, errors.New("invalid user namespace configuration: GID and UID mapping should be identical")
	case r.Users[0].Container != 0:
		return 0, errors.New("invalid user namespace configuration: UID 0 must be mapped")
	case r.Users[0].Length != Length:
		return 0, fmt.Errorf("wrong user namespace length %d", r.Users[0].Length)
	case r.Users[0].Host%Length != 0 || r.Users[0].Host < Length:
		return 0, fmt.Errorf("wrong user namespace offset specified %d", r.Users[0].Host)
	}
	return r.Users[0].Host, nil
}
