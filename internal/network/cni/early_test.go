package cni

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// What a grant's detection finds counts for the first sandbox of its pod, and
// not for long.
func TestDetectionBeginsWithTheGrant(t *testing.T) {
	s := newServer(Config{})
	name := types.NamespacedName{Namespace: "default", Name: "a"}
	grant := func(uid string) *several {
		t.Helper()
		n := network(t, "eth0", "0a:58:0a:06:a8:65", macvlan) // its master is not on this machine
		n.DetectConflict = true
		e := inLAN(t, "a", uid, onLAN("eth0", "10.6.168.101/16"), n)
		check(t, s.grants.Add(e))
		return &several{pod: pod{NamespacedName: name, uid: uid}, endpoint: e}
	}
	begun := func(began time.Time) *detection {
		t.Helper()
		a := s.early[name]
		if a == nil {
			t.Fatal("nobody is asked when the address is granted")
		}
		<-a.begun
		a.found.began = began
		return a.found
	}
	found := func(v *several) *detection {
		t.Helper()
		d, err := s.detectionFor(v)
		check(t, err)
		return d
	}

	one := grant("one")
	first := begun(time.Now().Add(time.Hour))
	check(t, s.grants.Update(one.endpoint)) // the same grant
	if found(one) != first {
		t.Error("what was found out already is asked again")
	}
	if found(one) == first {
		t.Error("a second sandbox is not asked for")
	}

	two := grant("two")
	if old := begun(time.Now().Add(-2 * keeps)); found(two) == old {
		t.Error("an old answer counts")
	}

	grant("three")
	other := begun(time.Now().Add(time.Hour))
	if found(one) == other {
		t.Error("the answer for another pod counts")
	}

	check(t, s.grants.Delete(grant("four").endpoint))
	if len(s.early) != 0 {
		t.Error("a detection is kept for a pod without a grant")
	}
}
