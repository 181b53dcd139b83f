// Package hostport leads packets to a node's own addresses on to the pods that
// asked for the port. All of it is one nftables table with fixed rules; a pod's
// ports are elements of its maps, and there is no table before the first one.
package hostport

import (
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
	kernel *table
}

// New knows of no mapping and touches nothing.
func New() *Ports { return &Ports{byPod: map[string][]podspec.PortMapping{}} }

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
	if p.kernel != nil {
		p.kernel.close()
		p.kernel = nil
	}
	if len(p.byPod) == 0 {
		return Remove()
	}
	return p.load()
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
	if p.kernel == nil {
		return p.load()
	}
	if err := p.kernel.change(before, list); err != nil {
		// Somebody else changed the table, or two pods ask for one port: what
		// is known is loaded whole.
		p.kernel.close()
		p.kernel = nil
		return p.load()
	}
	return nil
}

// load replaces the kernel's table by all mappings. The lock is held.
func (p *Ports) load() error {
	var all []podspec.PortMapping
	seen := map[podspec.PortMapping]bool{}
	for _, list := range p.byPod {
		for _, m := range list {
			key := podspec.PortMapping{HostIP: m.HostIP, HostPort: m.HostPort, Protocol: m.Protocol}
			if !seen[key] {
				all = append(all, m)
			}
			seen[key] = true
		}
	}
	t, err := open(all)
	if err != nil {
		return err
	}
	p.kernel = t
	return nil
}

// supported are the mappings that the table can hold.
func supported(list []podspec.PortMapping) []podspec.PortMapping {
	var out []podspec.PortMapping
	for _, m := range list {
		if m.HostPort != 0 && m.Pod.Is4() && (!m.HostIP.IsValid() || m.HostIP.Is4()) {
			out = append(out, m)
		}
	}
	return out
}

// Remove deletes the table; it is no error if there is none.
func Remove() error { return nft.Remove(tableName, nftables.TableFamilyIPv4) }
