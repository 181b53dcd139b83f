package cni

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/network/cni/neighbour"
	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// head is how long a question is out before anything is made that others see:
// who has the address and is not very busy has answered by then.
const head = 5 * time.Millisecond

// detection finds out whether a pod's addresses are its own, and whether its
// gateways are there, beside whatever else is done for the pod.
type detection struct {
	began   time.Time
	known   chan struct{} // closed when nothing is open any more
	problem error         // read after that
	made    atomic.Bool   // the pod's own interfaces may answer too
	then    *detection    // what is found out elsewhere
}

// asked is what is asked at one place.
type asked struct {
	at  neighbour.Place
	mac string // of the pod's interface
	attachment.Questions
}

// detect begins to ask. A place that nobody can ask at is an error.
func detect(all []asked) (*detection, error) {
	d := &detection{began: time.Now(), known: make(chan struct{})}
	if len(all) == 0 {
		close(d.known)
		return d, nil
	}
	found := make(chan error, len(all))
	for _, q := range all {
		answers, err := neighbour.Ask(q.at, slices.Concat(q.Free, q.There))
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", q.Network, err) // what was asked ends by itself
		}
		go func() { d.hear(q, answers, found) }()
	}
	go func() {
		defer close(d.known)
		for range all {
			if err := <-found; err != nil {
				d.problem = err
				return
			}
		}
	}()
	return d, nil
}

// hear tells the first bad answer at once, and what only silence says at the end.
func (d *detection) hear(q asked, answers <-chan neighbour.Answer, found chan<- error) {
	var bad error
	there := map[netip.Addr]bool{}
	own, _ := net.ParseMAC(q.mac)
	for a := range answers {
		switch {
		case bad != nil:
		case !slices.Contains(q.Free, a.Addr):
			there[a.Addr] = there[a.Addr] || !a.Tentative
		case a.MAC.String() == own.String() && d.made.Load(): // the pod itself
		default:
			bad = q.Held(a.Addr, a.MAC.String(), a.Tentative)
			found <- bad
		}
	}
	for _, gw := range q.There {
		if bad == nil && !there[gw] {
			bad = q.Silent(gw)
			found <- bad
		}
	}
	if bad == nil {
		found <- nil
	}
}

// wait returns what was found when all is known.
func (d *detection) wait(ctx context.Context) error {
	for ; d != nil; d = d.then {
		select {
		case <-d.known:
			if d.problem != nil {
				return d.problem
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Clear returns when it is known whether a sandbox may be used: an error says
// who has its address, or which gateway is missing.
func (s *Server) Clear(ctx context.Context, sandbox string) error {
	s.mu.Lock()
	d := s.detections[sandbox]
	s.mu.Unlock()
	return d.wait(ctx)
}

func (s *Server) forgetDetections(of func(sandbox string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.detections, func(sandbox string, _ *detection) bool { return of(sandbox) })
}

// asks are the questions about the networks that f knows a place for.
func asks(e *spiderpoolv2beta1.SpiderEndpoint, networks []attachment.Attachment, f func(*attachment.Attachment) (neighbour.Place, bool, error)) ([]asked, error) {
	var out []asked
	for i := range networks {
		a := &networks[i]
		q := a.Questions(attachment.Detail(e, a.Interface))
		q.There = slices.DeleteFunc(q.There, func(gw netip.Addr) bool { // it does not answer itself
			own, err := link.Own(gw)
			return err != nil || own
		})
		if len(q.Free)+len(q.There) == 0 {
			continue
		}
		at, ok, err := f(a)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, asked{at: at, mac: a.MAC, Questions: q})
		}
	}
	return out, nil
}

// detectOutside begins to ask about what is asked for on interfaces of this machine.
func detectOutside(e *spiderpoolv2beta1.SpiderEndpoint, networks []attachment.Attachment) (*detection, error) {
	all, err := asks(e, networks, func(a *attachment.Attachment) (neighbour.Place, bool, error) {
		segment, here := a.Segment()
		if here && segment == "" {
			up, err := link.FindUplink()
			if err != nil {
				return neighbour.Place{}, false, err
			}
			segment = up.Name
		}
		// One that is not there is made by the plugin: nobody else is on it.
		return neighbour.Place{NetNS: -1, Interface: segment}, here && link.Up(segment), nil
	})
	if err != nil {
		return nil, err
	}
	return detect(all)
}

// detectInPod asks about the rest, on the pod's own interfaces.
func (v *several) detectInPod() error {
	all, err := asks(v.endpoint, v.networks, func(a *attachment.Attachment) (neighbour.Place, bool, error) {
		_, here := a.Segment()
		return neighbour.Place{NetNS: int(v.ns.Fd()), Interface: a.Interface}, !here, nil
	})
	if err == nil {
		v.inPod, err = detect(all)
	}
	if err == nil {
		v.outside.then = v.inPod
	}
	return err
}

// headStart lets answers come before anything is made. A pod that was in trouble
// before waits for all of them.
func (v *several) headStart(ctx context.Context) error {
	defer v.outside.made.Store(true)
	v.s.mu.Lock()
	_, troubled := v.s.troubled[types.UID(v.pod.uid)]
	v.s.mu.Unlock()
	if troubled {
		return v.outside.wait(ctx)
	}
	soon := time.NewTimer(time.Until(v.outside.began.Add(head)))
	defer soon.Stop()
	select {
	case <-soon.C:
		return nil
	case <-v.outside.known:
		return v.outside.problem
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow says what comes of the sandbox when that is known.
func (v *several) follow(ctx context.Context, status []networkStatus) {
	s, d := v.s, v.outside
	s.mu.Lock()
	s.detections[v.req.ContainerID] = d
	s.mu.Unlock()
	p := v.pod
	ctx = context.WithoutCancel(ctx)
	s.wires.Go(func() {
		if err := d.wait(ctx); err != nil {
			s.found(ctx, p, err)
			return
		}
		s.report(ctx, p, status)
	})
}
