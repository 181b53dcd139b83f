// Package call is how the CNI plugin asks the node agent: one JSON value each
// way over a unix socket, with the pod's network namespace as an open file,
// so that the agent needs no path into the runtime's mounts. It is all that
// the plugin, which runs once per pod, consists of: standard library only.
package call

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// CNI's commands.
const (
	Add    = "ADD"
	Del    = "DEL"
	Check  = "CHECK"
	GC     = "GC"
	Status = "STATUS"
)

// Error codes of the CNI specification.
const (
	CodeInvalidEnvironment = 4
	CodeDecode             = 6
	CodeInvalidConfig      = 7
	CodeTryAgain           = 11
	CodeNotAvailable       = 50
	CodeFailed             = 100 // ours: the network could not be made
)

// Request is what the runtime told the plugin.
type Request struct {
	Command     string          `json:"command"`
	ContainerID string          `json:"containerID"`
	NetNS       string          `json:"netns"`
	IfName      string          `json:"ifName"`
	Args        string          `json:"args"`
	Config      json.RawMessage `json:"config"`
}

// Response is what the plugin tells the runtime.
type Response struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// Error is CNI's error object.
type Error struct {
	CNIVersion string `json:"cniVersion"`
	Code       uint   `json:"code"`
	Msg        string `json:"msg"`
	Details    string `json:"details,omitempty"`
}

func (e *Error) Error() string {
	if e.Details == "" {
		return e.Msg
	}
	return e.Msg + ": " + e.Details
}

// ErrNoAgent says that nobody answers the socket.
var ErrNoAgent = errors.New("the node agent does not answer")

// Do sends a request, with the namespace unless it is nil, and waits for the
// answer.
func Do(socket string, req Request, ns *os.File, timeout time.Duration) (Response, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return Response{}, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(timeout))
	text, err := json.Marshal(req)
	if err != nil {
		return Response{}, err
	}
	var rights []byte
	if ns != nil {
		rights = syscall.UnixRights(int(ns.Fd()))
	}
	n, _, err := c.WriteMsgUnix(text, rights, nil)
	if err == nil && n < len(text) { // the namespace travels with the first byte
		_, err = c.Write(text[n:])
	}
	var resp Response
	if err == nil {
		err = json.NewDecoder(c).Decode(&resp)
	}
	if err != nil {
		return resp, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	return resp, nil
}

// Receive reads a request and the namespace that came with it, or nil. The
// caller closes the file.
func Receive(c *net.UnixConn) (Request, *os.File, error) {
	r := &reader{conn: c}
	var req Request
	err := json.NewDecoder(r).Decode(&req)
	if err != nil && r.file != nil {
		r.file.Close()
		r.file = nil
	}
	return req, r.file, err
}

// reader reads bytes and keeps the file that comes along.
type reader struct {
	conn *net.UnixConn
	file *os.File
}

func (r *reader) Read(b []byte) (int, error) {
	oob := make([]byte, syscall.CmsgSpace(4))
	n, oobn, _, _, err := r.conn.ReadMsgUnix(b, oob)
	if oobn > 0 {
		r.take(oob[:oobn])
	}
	if n == 0 && err == nil {
		err = errors.New("the request ended early")
	}
	return n, err
}

func (r *reader) take(oob []byte) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			if r.file != nil {
				r.file.Close()
			}
			r.file = os.NewFile(uintptr(fd), "netns")
		}
	}
}
