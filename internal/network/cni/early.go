package cni

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// keeps is how old the beginning of a detection may be when the pod is made:
// somebody may have come to the segment since.
const keeps = time.Second

// early is a detection that begins when a pod is granted its addresses, while
// its volumes and its sandbox are prepared: most of its time is over when the
// runtime asks for the network.
type early struct {
	uid   string
	begun chan struct{} // closed when the questions are out
	found *detection    // read after that; nil if nobody could ask
}

// askEarly begins to ask about a new grant.
func (s *Server) askEarly(e *spiderpoolv2beta1.SpiderEndpoint) {
	networks, err := attachment.Resolved(e.Annotations)
	if err != nil || len(networks) == 0 {
		return // nothing to ask, or ADD says what is wrong
	}
	name := types.NamespacedName{Namespace: e.Namespace, Name: e.Name}
	a := &early{uid: e.Status.Current.UID, begun: make(chan struct{})}
	s.mu.Lock()
	s.early[name] = a
	s.mu.Unlock()
	s.wires.Go(func() {
		defer close(a.begun)
		if d, err := detectOutside(e, networks); err == nil {
			a.found = d
		}
	})
}

func (s *Server) forgetEarly(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.early, name)
}

// detectionFor is what a grant's detection finds, once: another sandbox of the
// same pod, and one that is long in coming, asks anew.
func (s *Server) detectionFor(v *several) (*detection, error) {
	s.mu.Lock()
	a := s.early[v.pod.NamespacedName]
	delete(s.early, v.pod.NamespacedName)
	s.mu.Unlock()
	if a != nil && a.uid == v.endpoint.Status.Current.UID {
		<-a.begun
		if a.found != nil && time.Since(a.found.began) < keeps {
			return a.found, nil
		}
	}
	return detectOutside(v.endpoint, v.networks)
}
