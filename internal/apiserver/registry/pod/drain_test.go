package pod

import (
	"io"
	"net"
	"testing"
)

// An agent that has ended hears nothing more, but what it said is read to the end.
func TestADrainedConnectionIsReadToItsEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const said = "the last words"
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		agent, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(agent, said)
		agent.Close()
	}()
	conn, err := drain((&net.Dialer{}).DialContext)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-closed
	for range 100 { // the first write is answered by a reset, the next ones fail
		if n, err := conn.Write([]byte("more input")); n != 10 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	got := make([]byte, len(said))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != said {
		t.Errorf("read %q, %v", got, err)
	}
}
