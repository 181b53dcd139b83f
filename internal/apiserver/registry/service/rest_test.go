package service

import (
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
)

// A Service that will be refused for its name has no address's object made, which
// would be refused with another answer.
func TestNoAddressWithoutAName(t *testing.T) {
	for name, want := range map[string]int{"a": 1, "": 0, "a/b": 0, "..": 0} {
		world := &objects{of: map[netip.Addr]string{}}
		a, err := NewAllocator([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, utilnet.PortRange{Base: 30000, Size: 20}, world)
		if err != nil {
			t.Fatal(err)
		}
		store := &genericregistry.Store{}
		a.Tune(func(string, string) {})(store, nil)
		finish, err := store.BeginCreate(t.Context(), plain(name, ""), &metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if got := len(world.of); got != want {
			t.Errorf("a Service named %q has %d addresses, want %d", name, got, want)
		}
		finish(t.Context(), false)
		if len(world.of) != 0 {
			t.Errorf("a Service named %q that was refused keeps %v", name, world.of)
		}
	}
}
