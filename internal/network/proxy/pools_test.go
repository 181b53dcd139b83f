package proxy_test

import (
	"testing"

	"k8s.io/client-go/kubernetes/fake"

	"berth.dev/berth/internal/plan/address"
)

// Pods of pools beside the cluster's ranges are pods: they see one another as they
// are, also by a Service, and leave the cluster under the node's address. When
// their pool is gone they are strangers again.
func TestPodsOfOtherPools(t *testing.T) {
	host(t)
	inside, other, beyond := newPod(t, 61), newMachine(t, "10.6.168.101", "fd06::101"), newMachine(t, "10.6.168.111", "fd06::111")
	for _, p := range []pod{inside, other, beyond} {
		p.serve(t, 8080)
	}
	p := start(t, fake.NewClientset(service(), slice(inside)))
	span := func(text string) address.Span {
		s, err := address.ParseSpan(text)
		check(t, err)
		return s
	}
	sees := func(client, server pod, by, want string) {
		t.Helper()
		eventually(t, server.ip+" sees "+want, func() (ok bool) {
			client.in(t, func() {
				text, err := call(by)
				ok = err == nil && text == server.ip+" from "+want
			})
			return ok
		})
	}
	at := serviceIP + ":80"
	for range 2 {
		sees(inside, other, other.ip+":8080", hostIP)
		sees(other, inside, at, hostIP)
		p.SetPools([]address.Span{span("10.6.168.101-10.6.168.110"), span("fd06::101-fd06::110")})
		sees(inside, other, other.ip+":8080", inside.ip)
		sees(inside, other, "["+other.ip6+"]:8080", inside.ip6)
		sees(other, inside, inside.ip+":8080", other.ip)
		sees(other, inside, at, other.ip)
		sees(other, beyond, beyond.ip+":8080", hostIP)
		sees(other, beyond, "["+beyond.ip6+"]:8080", hostIP6)
		sees(beyond, inside, at, hostIP)
		p.SetPools(nil)
	}
}
