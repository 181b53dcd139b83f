// Package neighbour asks on a segment who has an address: by ARP for IPv4 and by
// neighbour discovery for IPv6, in such a way that nobody learns anything from
// the question. So it can be asked for an address before that is used.
package neighbour

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/network/link"
)

// Patience is how long answers are waited for, and every how often it is asked
// again meanwhile.
const (
	Patience = 100 * time.Millisecond
	again    = 30 * time.Millisecond
)

// Place is where it is asked: an interface of a network namespace.
type Place struct {
	// NetNS is an open file descriptor of the namespace, negative for this one.
	NetNS     int
	Interface string
}

// Answer says who has an address; Tentative, who asks for it to have it.
type Answer struct {
	Addr      netip.Addr
	MAC       net.HardwareAddr
	Tentative bool
}

// Ask asks who has some addresses. Answers come as they are heard; the channel is
// closed when there was time enough for all. It must be read until then.
func Ask(at Place, addrs []netip.Addr) (<-chan Answer, error) {
	q := &inquiry{answers: make(chan Answer, 2*len(addrs))}
	for _, v4 := range []bool{true, false} {
		var some []netip.Addr
		for _, a := range addrs {
			if a.Is4() == v4 {
				some = append(some, a)
			}
		}
		if len(some) == 0 {
			continue
		}
		if err := q.open(at, some); err != nil {
			for _, s := range q.sockets {
				s.file.Close()
			}
			return nil, fmt.Errorf("ask on interface %s who has %s: %w", at.Interface, some[0], err)
		}
	}
	began := time.Now()
	for _, s := range q.sockets {
		q.reading.Go(func() { s.run(began, q.answers) })
	}
	go func() {
		q.reading.Wait()
		close(q.answers)
	}()
	return q.answers, nil
}

type inquiry struct {
	answers chan Answer
	reading sync.WaitGroup
	sockets []*socket
}

// socket hears one protocol at one place.
type socket struct {
	file   *os.File
	addrs  []netip.Addr
	own    net.HardwareAddr
	frames [][]byte
}

// open makes a socket that hears, and sends the questions once.
func (q *inquiry) open(at Place, addrs []netip.Addr) error {
	s := &socket{addrs: addrs}
	f := func() error { return s.open(at.Interface) }
	if at.NetNS >= 0 {
		inside := f
		f = func() error { return link.Entering(at.NetNS, inside) }
	}
	if err := f(); err != nil {
		return err
	}
	q.sockets = append(q.sockets, s)
	return s.ask()
}

func (s *socket) open(name string) error {
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	if len(nic.HardwareAddr) != 6 {
		return fmt.Errorf("it is no Ethernet interface")
	}
	s.own = nic.HardwareAddr
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	protocol := uint16(arpType)
	if s.addrs[0].Is6() {
		protocol = ipv6Type
		err = hearAdvice(fd, nic.Index, s.addrs)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: nic.Index})
	}
	if err != nil {
		return errors.Join(fmt.Errorf("packet socket: %w", err), unix.Close(fd))
	}
	s.file = os.NewFile(uintptr(fd), "packets of "+name)
	for _, a := range s.addrs {
		s.frames = append(s.frames, question(a, nic.HardwareAddr))
	}
	return nil
}

// hearAdvice has a socket hear what neighbours discover of each other and nothing
// else, also on a machine that has no use for IPv6 itself.
func hearAdvice(fd, index int, addrs []netip.Addr) error {
	// From here on: next header, then the type of the message.
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: etherLen + 6},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 4, K: icmpv6},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: etherLen + ipv6Len},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: solicitation},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: advertisement},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return err
	}
	groups := []net.HardwareAddr{allNodes}
	for _, a := range addrs {
		groups = append(groups, groupOf(a))
	}
	for _, g := range groups {
		member := &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6}
		copy(member.Address[:], g)
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, member); err != nil {
			return err
		}
	}
	return nil
}

func (s *socket) ask() error {
	for _, f := range s.frames {
		if _, err := s.file.Write(f); err != nil {
			return err
		}
	}
	return nil
}

// run reads until it was waited long enough, and asks again now and then: a
// question, or an answer, can be lost.
func (s *socket) run(began time.Time, answers chan<- Answer) {
	defer s.file.Close()
	end := began.Add(Patience)
	next := began.Add(again)
	buffer := make([]byte, 2048)
	for {
		_ = s.file.SetReadDeadline(next)
		n, err := s.file.Read(buffer)
		switch {
		case err == nil:
			s.tell(buffer[:n], answers)
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return // the interface is gone
		case next.Equal(end):
			s.drain(buffer, answers)
			return
		default:
			_ = s.ask()
			if next = next.Add(again); next.After(end) || end.Sub(next) < again {
				next = end
			}
		}
	}
}

// drain reads what came in time and could not be read in time: this process may
// have had to wait for a processor.
func (s *socket) drain(buffer []byte, answers chan<- Answer) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for {
			n, _, err := unix.Recvfrom(int(fd), buffer, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return
			}
			s.tell(buffer[:n], answers)
		}
	})
}

func (s *socket) tell(frame []byte, answers chan<- Answer) {
	a, ok := heard(frame)
	if !ok || !slices.Contains(s.addrs, a.Addr) || bytes.Equal(s.own, a.MAC) {
		return
	}
	answers <- a
}
