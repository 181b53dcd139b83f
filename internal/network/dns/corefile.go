package dns

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/corefile"
)

// wanted is the Corefile that is to be in force.
func (s *Server) wanted() (text string, from *corev1.ConfigMap) {
	if m := s.configMap(); m != nil {
		return m.Data[corefile.Name], m
	}
	return corefile.Default(s.cfg.Domain), nil
}

// begin serves as the Corefile says or, when it cannot be, as the default one.
func (s *Server) begin() error {
	text, from := s.wanted()
	s.judged = text
	started, err := s.start(text)
	if err != nil && from != nil {
		s.reject(from, err, "the default is in force")
		started, err = s.start(corefile.Default(s.cfg.Domain))
	}
	if err != nil {
		return fmt.Errorf("cluster DNS: %w", err)
	}
	s.running = started
	return nil
}

// follow puts a changed Corefile in force. One with a mistake changes nothing.
func (s *Server) follow() {
	text, from := s.wanted()
	if text == s.judged {
		return
	}
	s.judged = text
	started, err := s.restart(text)
	if err != nil {
		s.reject(from, err, "the one before it stays in force")
		return
	}
	s.running = started
	s.cfg.Log.Info("cluster DNS follows a new Corefile")
}

// reject says what is wrong with the user's Corefile, in the log and on the object.
func (s *Server) reject(m *corev1.ConfigMap, err error, instead string) {
	line := 0
	var at *corefile.Error
	if errors.As(err, &at) {
		line = at.Line
	}
	s.cfg.Log.Error("the Corefile cannot be: "+instead, "line", line, "err", err)
	if m != nil {
		s.cfg.Events.Eventf(m, corev1.EventTypeWarning, "InvalidCorefile", "%v; %s", err, instead)
	}
}

func (s *Server) start(text string) (*caddy.Instance, error) {
	input, err := s.input(text)
	if err != nil {
		return nil, err
	}
	started, err := caddy.Start(input)
	if err != nil {
		stop(started) // what had begun before the failure
		return nil, err
	}
	return started, nil
}

func (s *Server) restart(text string) (*caddy.Instance, error) {
	input, err := s.input(text)
	if err != nil {
		return nil, err
	}
	return s.running.Restart(input)
}

func (s *Server) end() { stop(s.running) }

func stop(i *caddy.Instance) {
	_ = i.ShutdownCallbacks()
	_ = i.Stop()
}

// input is what CoreDNS is told, tried without touching what runs.
func (s *Server) input(text string) (caddy.Input, error) {
	file, err := corefile.Parse(text)
	if err != nil {
		return nil, err
	}
	own, err := file.At(corefile.Node{ID: s.id, Addresses: s.cfg.Addresses, Upstream: s.cfg.Upstream})
	if err != nil {
		return nil, err
	}
	out := asInput(own.String())
	if err := try(out); err != nil {
		return nil, located(err, own)
	}
	return out, nil
}

func asInput(text string) caddy.CaddyfileInput {
	return caddy.CaddyfileInput{Contents: []byte(text), Filepath: corefile.Name, ServerTypeName: "dns"}
}

func try(input caddy.Input) error { return caddy.ValidateAndExecuteDirectives(input, nil, true) }

var withLine = regexp.MustCompile(`Corefile:(\d+) - `)

// located finds the line of a mistake that CoreDNS has found: it names it for
// some and for others not.
func located(err error, file *corefile.File) error {
	if m := withLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1]) // digits
		return &corefile.Error{Line: line, Msg: strings.Replace(err.Error(), m[0], "", 1)}
	}
	line := file.Line(func(text string) bool {
		one := try(asInput(text))
		return one != nil && one.Error() == err.Error()
	})
	if line == 0 {
		return err
	}
	return &corefile.Error{Line: line, Msg: err.Error()}
}

func init() {
	dnsserver.Quiet = true // its banner
	if err := dnsserver.SetDirectives(directives); err != nil {
		panic(err) // a name is twice in our own list
	}
}
