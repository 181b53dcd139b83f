// Package hostport leads packets to a node's own addresses on to the pods that
// asked for the port. All of it is one nftables table for IPv4 and one for IPv6,
// with fixed rules; a pod's ports are elements of their maps, and there is no
// table before the first one.
package hostport

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/google/nftables"

	"berth.dev/berth/internal/base/nft"
	"berth.dev/berth/internal/plan/podspec"
)

// tableName is the same for every instance: each has its own network namespace.
const tableName = "berth-hostports"

// Ports are the node's mappings by pod.
type Ports struct {
	mu     sync.Mutex
	byPod  map[string][]podspec.PortMapping
	tables map[*family]*table // those that there are
}

// New knows of no mapping and touches nothing.
func New() *Ports {
	return &Ports{byPod: map[string][]podspec.PortMapping{}, tables: map[*family]*table{}}
}

// Replace makes these the only mappings, in one transaction: what an earlier
// process left goes, and packets never meet half of it.
func (p *Ports) Replace(all map[string][]podspec.PortMapping) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byPod = map[string][]podspec.PortMapping{}
	for pod, list := range all {
		if list = supported(list); len(list) > 0 {
			p.byPod[pod] = list
		}
	}
	var problems []error
	for _, f := range families {
		problems = append(problems, p.load(f))
	}
	// Connections that led to the same pods before go on.
	problems = append(problems, forget(nil, p.all()))
	return errors.Join(problems...)
}

// Set makes these the pod's mappings; none takes away what there were.
func (p *Ports) Set(pod string, list []podspec.PortMapping) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	list = supported(list)
	before := p.byPod[pod]
	if slices.Equal(before, list) {
		return nil
	}
	p.byPod[pod] = list
	if len(list) == 0 {
		delete(p.byPod, pod)
	}
	var problems []error
	for _, f := range families {
		if gone, come := f.of(before), f.of(list); len(gone)+len(come) > 0 {
			problems = append(problems, p.change(f, gone, come))
		}
	}
	return errors.Join(append(problems, forget(before, list))...)
}

// change replaces mappings of one family. The lock is held.
func (p *Ports) change(f *family, gone, come []podspec.PortMapping) error {
	t := p.tables[f]
	if t == nil || t.change(gone, come) != nil {
		// Somebody else changed the table, or two pods ask for one port: what
		// is known is loaded whole.
		return p.load(f)
	}
	return f.fromLoopback(come)
}

// load replaces the kernel's table by all mappings. The lock is held.
func (p *Ports) load(f *family) error {
	if t := p.tables[f]; t != nil {
		t.close()
		delete(p.tables, f)
	}
	var all []podspec.PortMapping
	seen := map[podspec.PortMapping]bool{}
	for _, m := range f.of(p.all()) {
		key := podspec.PortMapping{HostIP: m.HostIP, HostPort: m.HostPort, Protocol: m.Protocol}
		if !seen[key] {
			all = append(all, m)
		}
		seen[key] = true
	}
	if len(all) == 0 {
		return nft.Remove(tableName, f.table)
	}
	t, err := f.open(all)
	if err != nil {
		return err
	}
	p.tables[f] = t
	return f.fromLoopback(all)
}

func (p *Ports) all() []podspec.PortMapping {
	return slices.Concat(slices.Collect(maps.Values(p.byPod))...)
}

// supported are the mappings that the table can hold.
func supported(list []podspec.PortMapping) []podspec.PortMapping {
	var out []podspec.PortMapping
	for _, m := range list {
		if m.HostPort != 0 && m.Pod.IsValid() && (!m.HostIP.IsValid() || m.HostIP.Is4() == m.Pod.Is4()) {
			out = append(out, m)
		}
	}
	return out
}

// Remove deletes the tables; it is no error if there are none.
func Remove() error {
	return nft.Remove(tableName, nftables.TableFamilyIPv4, nftables.TableFamilyIPv6)
}
