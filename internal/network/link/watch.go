package link

import (
	"context"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
)

// Watch calls changed when an interface or an address of this machine has
// changed: with them the kernel drops routes and says nothing. The pods' own
// wires are left out. It returns when ctx is done.
func Watch(ctx context.Context, changed func()) error {
	links, addrs := make(chan netlink.LinkUpdate), make(chan netlink.AddrUpdate)
	done := make(chan struct{})
	lost := make(chan error, 2) // each tells its end once
	fails := func(err error) {
		select {
		case lost <- err:
		default:
		}
	}
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: fails}); err != nil {
		close(done)
		return fmt.Errorf("follow the machine's interfaces: %w", err)
	}
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{ErrorCallback: fails}); err != nil {
		close(done)
		return fmt.Errorf("follow the machine's addresses: %w", err)
	}
	defer func() { // what they still have to say must find somebody, or they never end
		close(done)
		go drain(links)
		go drain(addrs)
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-lost:
			return fmt.Errorf("follow the machine's interfaces: %w", err)
		case u, ok := <-links:
			if !ok {
				return fmt.Errorf("follow the machine's interfaces: the kernel says no more")
			}
			if name := u.Attrs().Name; !strings.HasPrefix(name, "veth") && name != "lo" {
				changed()
			}
		case u, ok := <-addrs:
			if !ok {
				return fmt.Errorf("follow the machine's addresses: the kernel says no more")
			}
			if !u.LinkAddress.IP.IsLinkLocalUnicast() {
				changed()
			}
		}
	}
}

func drain[T any](c <-chan T) {
	for range c {
	}
}
