package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// longestOutput is how much of an answer is kept.
const longestOutput = 10 << 10

// Exec runs a command in a container. A non-zero code is no error.
type Exec func(ctx context.Context, containerID string, command []string, timeout time.Duration) (output []byte, code int32, err error)

// ErrTimeout is returned by Exec when the command took too long.
var ErrTimeout = errors.New("timed out")

// Target is the container that is asked.
type Target struct {
	Pod         *corev1.Pod
	Container   *corev1.Container
	ContainerID string
	IP          string
	Started     time.Time
}

// ask does one try. err means that the question could not be put; output is
// what a failure event shows.
func ask(ctx context.Context, t Target, p *corev1.Probe, timeout time.Duration, exec Exec) (ok bool, output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case p.Exec != nil:
		return askExec(ctx, t, p.Exec, timeout, exec)
	case p.HTTPGet != nil:
		return askHTTP(ctx, t, p.HTTPGet)
	case p.TCPSocket != nil:
		return askTCP(ctx, t, p.TCPSocket)
	case p.GRPC != nil:
		return askGRPC(ctx, t, p.GRPC, timeout)
	default:
		return false, "", fmt.Errorf("missing probe handler for %s/%s:%s", t.Pod.Namespace, t.Pod.Name, t.Container.Name)
	}
}

func askExec(ctx context.Context, t Target, a *corev1.ExecAction, timeout time.Duration, exec Exec) (bool, string, error) {
	out, code, err := exec(context.WithoutCancel(ctx), t.ContainerID, a.Command, timeout)
	switch {
	case errors.Is(err, ErrTimeout):
		return false, fmt.Sprintf("command timed out: %q timed out after %s", strings.Join(a.Command, " "), timeout), nil
	case err != nil:
		return false, "", err
	}
	if len(out) > longestOutput {
		out = out[:longestOutput]
	}
	return code == 0, string(out), nil
}

func askTCP(ctx context.Context, t Target, a *corev1.TCPSocketAction) (bool, string, error) {
	port, err := Port(a.Port, t.Container)
	if err != nil {
		return false, "", err
	}
	host := a.Host
	if host == "" {
		host = t.IP
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false, err.Error(), nil
	}
	_ = conn.Close()
	return true, "", nil
}

// Port resolves a port that may be given by name.
func Port(p intstr.IntOrString, c *corev1.Container) (int, error) {
	port := p.IntValue()
	if p.Type == intstr.String {
		found := false
		for _, named := range c.Ports {
			if named.Name == p.StrVal {
				port, found = int(named.ContainerPort), true
			}
		}
		if !found {
			if n, err := strconv.Atoi(p.StrVal); err == nil {
				port = n
			} else {
				return 0, fmt.Errorf("couldn't find port: %v in container %s", p.StrVal, c.Name)
			}
		}
	}
	if port < 1 || port > 65535 {
		return 0, fmt.Errorf("invalid port number: %v", port)
	}
	return port, nil
}
