// Package logind speaks to systemd's logind over the system bus: it asks for
// time before the machine goes down, and hears when it does.
package logind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	service = "org.freedesktop.login1"
	object  = dbus.ObjectPath("/org/freedesktop/login1")
	manager = "org.freedesktop.login1.Manager"

	// ConfDir is where logind reads what others ask of it, Conf our part of it.
	ConfDir = "/etc/systemd/logind.conf.d"
	Conf    = "99-berth.conf"
)

// Config says where logind is.
type Config struct {
	// Address is the bus's, the system's own unless set.
	Address string
	// ConfDir is ConfDir unless set.
	ConfDir string
	// Owner is whose file there it is.
	Owner string
}

// header is the first line of the file that an owner asks for more time with.
func header(owner string) string {
	return "# Written by berth (" + owner + ") for --shutdown-grace-period.\n"
}

// Forget removes what an owner asked for. logind reads it at its next start.
func Forget(owner string) error {
	path := filepath.Join(ConfDir, Conf)
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), header(owner)) {
		return nil
	}
	return os.Remove(path)
}

// Logind is a connection.
type Logind struct {
	cfg     Config
	conn    *dbus.Conn
	end     context.CancelFunc
	signals chan *dbus.Signal
	events  chan bool
}

// patience is how long a call that is under way may go on when everything ends.
const patience = 5 * time.Second

// Dial connects and listens; the connection ends with ctx.
func Dial(ctx context.Context, cfg Config) (*Logind, error) {
	// A lock whose answer nobody reads any more would be held until the process
	// ends, so calls are not cut off at once.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(patience, end) })
	if cfg.ConfDir == "" {
		cfg.ConfDir = ConfDir
	}
	var conn *dbus.Conn
	var err error
	if cfg.Address == "" {
		conn, err = dbus.ConnectSystemBus(dbus.WithContext(life))
	} else {
		conn, err = dbus.Connect(cfg.Address, dbus.WithContext(life))
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	l := &Logind{cfg: cfg, conn: conn, end: end, signals: make(chan *dbus.Signal, 4), events: make(chan bool)}
	err = conn.AddMatchSignal(dbus.WithMatchInterface(manager), dbus.WithMatchMember("PrepareForShutdown"), dbus.WithMatchObjectPath(object))
	if err != nil {
		conn.Close()
		end()
		return nil, fmt.Errorf("listen to logind: %w", err)
	}
	conn.Signal(l.signals)
	go l.listen(ctx)
	return l, nil
}

// listen hands the news on. The bus closes its channel when it breaks.
func (l *Logind) listen(ctx context.Context) {
	defer close(l.events)
	for s := range l.signals {
		if s.Name != manager+".PrepareForShutdown" || len(s.Body) != 1 {
			continue
		}
		if down, ok := s.Body[0].(bool); ok {
			select {
			case l.events <- down:
			case <-ctx.Done():
				return
			case <-l.conn.Context().Done():
				return
			}
		}
	}
}

// Events has true when the machine begins to go down and false when that was
// called off. It is closed when the connection has ended.
func (l *Logind) Events() <-chan bool { return l.events }

// Close ends the connection.
func (l *Logind) Close() {
	l.conn.Close()
	l.end()
}

// GoesDown is true while the machine is going down.
func (l *Logind) GoesDown() (bool, error) {
	v, err := l.conn.Object(service, object).GetProperty(manager + ".PreparingForShutdown")
	if err != nil {
		return false, fmt.Errorf("read PreparingForShutdown: %w", err)
	}
	down, _ := v.Value().(bool)
	return down, nil
}

// Hold keeps the machine up, for as long as logind allows, until it is closed.
func (l *Logind) Hold() (*os.File, error) {
	var fd dbus.UnixFD
	err := l.conn.Object(service, object).Call(manager+".Inhibit", 0, "shutdown", "berth", "Berth ends the pods of this node in order", "delay").Store(&fd)
	if err != nil {
		return nil, fmt.Errorf("take an inhibitor lock: %w", err)
	}
	return os.NewFile(uintptr(fd), "inhibitor"), nil
}

// delay is how long logind lets somebody hold the machine.
func (l *Logind) delay() (time.Duration, error) {
	v, err := l.conn.Object(service, object).GetProperty(manager + ".InhibitDelayMaxUSec")
	if err != nil {
		return 0, fmt.Errorf("read InhibitDelayMaxUSec: %w", err)
	}
	micro, ok := v.Value().(uint64)
	if !ok {
		return 0, errors.New("InhibitDelayMaxUSec is no number")
	}
	return time.Duration(micro) * time.Microsecond, nil
}

// Allow has logind grant that much time, by a file of its configuration if it
// grants less.
func (l *Logind) Allow(wanted time.Duration) error {
	granted, err := l.delay()
	if err != nil || granted >= wanted {
		return err
	}
	if err := os.MkdirAll(l.cfg.ConfDir, 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("%s[Login]\nInhibitDelayMaxSec=%.0f\n", header(l.cfg.Owner), wanted.Seconds())
	if err := os.WriteFile(filepath.Join(l.cfg.ConfDir, Conf), []byte(text), 0o644); err != nil {
		return err
	}
	// SIGHUP has it read its configuration again.
	call := l.conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1").Call(
		"org.freedesktop.systemd1.Manager.KillUnit", 0, "systemd-logind.service", "all", int32(1))
	if call.Err != nil {
		return fmt.Errorf("have logind read its configuration again: %w", call.Err)
	}
	if granted, err = l.delay(); err == nil && granted < wanted {
		err = fmt.Errorf("logind grants %v before the machine goes down (InhibitDelayMaxSec), pods need %v", granted, wanted)
	}
	return err
}
