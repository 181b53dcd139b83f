package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// ZooKeeper makes nodes by ZooKeeper's own protocol, in a session for each write.
type ZooKeeper struct {
	Dial    Dial
	Address string
}

const zkFolder = "/load"

// Write makes one node.
func (z ZooKeeper) Write(ctx context.Context, n int) error {
	c, err := z.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.create(zkFolder + "/" + strconv.Itoa(n))
	if errors.Is(err, zkError(noNode)) { // the first of all
		if err = c.create(zkFolder); err == nil || errors.Is(err, zkError(nodeExists)) {
			err = c.create(zkFolder + "/" + strconv.Itoa(n))
		}
	}
	return err
}

// Read lists the nodes as the leader knows them.
func (z ZooKeeper) Read(ctx context.Context) ([]int, error) {
	c, err := z.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.ask(opSync, zkText(nil, zkFolder)); err != nil {
		return nil, err
	}
	answer, err := c.ask(opChildren, append(zkText(nil, zkFolder), 0))
	if err != nil {
		return nil, err
	}
	var texts []string
	count, answer := zkInt(answer)
	for range count {
		var size int
		size, answer = zkInt(answer)
		if size > len(answer) {
			return nil, errors.New("zookeeper: an answer that is cut off")
		}
		texts, answer = append(texts, string(answer[:size])), answer[size:]
	}
	return numbers(texts, nil)
}

const (
	opCreate, opChildren, opSync, opClose = 1, 8, 9, -11
	noNode, nodeExists                    = -101, -110
	sessionTimeout                        = 10000 // milliseconds
)

type zkError int32

func (e zkError) Error() string { return fmt.Sprintf("zookeeper: error %d", int32(e)) }

// zkConn speaks in frames: four bytes of length, then numbers and texts.
type zkConn struct {
	net.Conn
	asked int32
}

func (z ZooKeeper) connect(ctx context.Context) (*zkConn, error) {
	conn, err := z.Dial(ctx, "tcp", z.Address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	c := &zkConn{Conn: conn}
	hello := make([]byte, 0, 44)
	hello = binary.BigEndian.AppendUint32(hello, 0) // version
	hello = binary.BigEndian.AppendUint64(hello, 0) // nothing seen before
	hello = binary.BigEndian.AppendUint32(hello, sessionTimeout)
	hello = binary.BigEndian.AppendUint64(hello, 0) // a new session
	hello = zkText(hello, string(make([]byte, 16)))
	if err = c.send(hello); err == nil {
		_, err = c.frame()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the session.
func (c *zkConn) Close() error {
	_, _ = c.ask(opClose, nil)
	return c.Conn.Close()
}

func (c *zkConn) create(path string) error {
	request := zkText(zkText(nil, path), "")
	request = binary.BigEndian.AppendUint32(request, 1)  // one who may:
	request = binary.BigEndian.AppendUint32(request, 31) // everything
	request = zkText(zkText(request, "world"), "anyone")
	request = binary.BigEndian.AppendUint32(request, 0) // a node that stays
	_, err := c.ask(opCreate, request)
	return err
}

func (c *zkConn) ask(op int32, request []byte) ([]byte, error) {
	c.asked++
	head := binary.BigEndian.AppendUint32(nil, uint32(c.asked))
	head = binary.BigEndian.AppendUint32(head, uint32(op))
	if err := c.send(append(head, request...)); err != nil {
		return nil, err
	}
	answer, err := c.frame()
	if err != nil {
		return nil, err
	}
	if len(answer) < 16 {
		return nil, errors.New("zookeeper: a short answer")
	}
	if code := int32(binary.BigEndian.Uint32(answer[12:])); code != 0 {
		return nil, zkError(code)
	}
	return answer[16:], nil
}

func (c *zkConn) send(body []byte) error {
	_, err := c.Conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

func (c *zkConn) frame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:])&(1<<24-1))
	_, err := io.ReadFull(c.Conn, body)
	return body, err
}

func zkText(to []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(s))), s...)
}

func zkInt(from []byte) (int, []byte) {
	if len(from) < 4 {
		return 0, nil
	}
	return int(binary.BigEndian.Uint32(from)), from[4:]
}
