// Package fakelogind is a system bus with a logind on a socket, for tests on
// machines that have neither.
package fakelogind

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

const manager = "org.freedesktop.login1.Manager"

// Logind answers on a socket.
type Logind struct {
	// Reload is called when logind is to read its configuration again, and says
	// how long somebody may hold the machine; nil grants no more than before.
	Reload func() time.Duration

	listener net.Listener

	mu       sync.Mutex
	delay    time.Duration
	down     bool
	conns    map[*net.UnixConn]*sync.Mutex
	holding  int
	released chan struct{} // has one for each lock that was given back
	held     chan struct{} // has one for each that was taken
}

// Listen begins on a socket.
func Listen(socket string, delay time.Duration) (*Logind, error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	f := &Logind{
		listener: l, delay: delay, conns: map[*net.UnixConn]*sync.Mutex{},
		released: make(chan struct{}, 16), held: make(chan struct{}, 16),
	}
	go f.accept()
	return f, nil
}

// Address is the bus's.
func (f *Logind) Address() string { return "unix:path=" + f.listener.Addr().String() }

// Held has one for each lock that was taken, Released for each given back.
func (f *Logind) Held() <-chan struct{}     { return f.held }
func (f *Logind) Released() <-chan struct{} { return f.released }

// Holding is how many locks are held.
func (f *Logind) Holding() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.holding
}

// Close ends all connections.
func (f *Logind) Close() {
	f.listener.Close()
	f.Break()
}

// Break ends the connections; new ones are taken.
func (f *Logind) Break() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.Close()
	}
}

// Prepare tells all that the machine goes down, or that it does not.
func (f *Logind) Prepare(down bool) error {
	f.mu.Lock()
	f.down = down
	all := map[*net.UnixConn]*sync.Mutex{}
	for c, writing := range f.conns {
		all[c] = writing
	}
	f.mu.Unlock()
	for c, writing := range all {
		err := send(c, writing, &dbus.Message{
			Type: dbus.TypeSignal,
			Headers: map[dbus.HeaderField]dbus.Variant{
				dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/login1")),
				dbus.FieldInterface: dbus.MakeVariant(manager),
				dbus.FieldMember:    dbus.MakeVariant("PrepareForShutdown"),
				dbus.FieldSender:    dbus.MakeVariant("org.freedesktop.login1"),
			},
			Body: []any{down},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Logind) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		go f.serve(c.(*net.UnixConn))
	}
}

func (f *Logind) serve(c *net.UnixConn) {
	defer c.Close()
	in := bufio.NewReader(c)
	if err := greet(c, in); err != nil {
		return
	}
	writing := &sync.Mutex{}
	f.mu.Lock()
	f.conns[c] = writing
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.conns, c)
		f.mu.Unlock()
	}()
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		if m.Type != dbus.TypeMethodCall {
			continue
		}
		body, err := f.answer(m)
		if err != nil {
			return
		}
		err = send(c, writing, &dbus.Message{
			Type:    dbus.TypeMethodReply,
			Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(m.Serial())},
			Body:    body,
		})
		for _, one := range body {
			if fd, ok := one.(dbus.UnixFD); ok {
				_ = syscall.Close(int(fd)) // the other side has its own
				if err == nil {
					f.held <- struct{}{}
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// greet is the text with which every connection begins.
func greet(c net.Conn, in *bufio.Reader) error {
	if zero, err := in.ReadByte(); err != nil || zero != 0 {
		return fmt.Errorf("%v %w", zero, io.ErrUnexpectedEOF)
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		answer := "ERROR\r\n"
		switch words := strings.Fields(line); {
		case len(words) == 0:
		case words[0] == "BEGIN":
			return nil
		case words[0] == "AUTH" && len(words) > 1 && words[1] == "EXTERNAL", words[0] == "DATA":
			answer = "OK 0123456789abcdef0123456789abcdef\r\n"
		case words[0] == "AUTH":
			answer = "REJECTED EXTERNAL\r\n"
		case words[0] == "NEGOTIATE_UNIX_FD":
			answer = "AGREE_UNIX_FD\r\n"
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return err
		}
	}
}

// answer is what a call returns.
func (f *Logind) answer(m *dbus.Message) ([]any, error) {
	member, _ := m.Headers[dbus.FieldMember].Value().(string)
	switch member {
	case "Hello":
		return []any{":1.1"}, nil
	case "Get":
		f.mu.Lock()
		defer f.mu.Unlock()
		if name, _ := m.Body[1].(string); name == "PreparingForShutdown" {
			return []any{dbus.MakeVariant(f.down)}, nil
		}
		return []any{dbus.MakeVariant(uint64(f.delay / time.Microsecond))}, nil
	case "KillUnit":
		if f.Reload != nil {
			now := f.Reload()
			f.mu.Lock()
			f.delay = now
			f.mu.Unlock()
		}
		return nil, nil
	case "Inhibit":
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		fd, err := syscall.Dup(int(w.Fd()))
		w.Close()
		if err != nil {
			r.Close()
			return nil, err
		}
		f.mu.Lock()
		f.holding++
		f.mu.Unlock()
		go f.await(r)
		return []any{dbus.UnixFD(fd)}, nil
	}
	return nil, nil
}

// await waits until nobody has a lock any more.
func (f *Logind) await(r *os.File) {
	defer r.Close()
	_, _ = r.Read(make([]byte, 1))
	f.mu.Lock()
	f.holding--
	f.mu.Unlock()
	f.released <- struct{}{}
}

// serial numbers messages.
var serial struct {
	sync.Mutex
	last uint32
}

func send(c *net.UnixConn, writing *sync.Mutex, m *dbus.Message) error {
	serial.Lock()
	serial.last++
	number := serial.last
	serial.Unlock()
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	count, err := m.CountFds()
	if err != nil {
		return err
	}
	if count > 0 {
		m.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(count))
	}
	var out bytes.Buffer
	fds, err := m.EncodeToWithFDs(&out, binary.LittleEndian)
	if err != nil {
		return err
	}
	text := out.Bytes()
	binary.LittleEndian.PutUint32(text[8:], number) // the library sets it for its own connections only
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	writing.Lock()
	defer writing.Unlock()
	_, _, err = c.WriteMsgUnix(text, rights, nil)
	return err
}
