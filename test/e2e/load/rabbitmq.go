package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
)

// RabbitMQ publishes messages to a quorum queue and waits for the broker's
// confirmation, by AMQP 0-9-1, as guest.
type RabbitMQ struct {
	Dial    Dial
	Address string
}

const rabbitQueue = "records"

// Methods of the protocol: class and number.
const (
	connectionStart, connectionStartOk = 10<<16 | 10, 10<<16 | 11
	connectionTune, connectionTuneOk   = 10<<16 | 30, 10<<16 | 31
	connectionOpen, connectionOpenOk   = 10<<16 | 40, 10<<16 | 41
	connectionClose, connectionCloseOk = 10<<16 | 50, 10<<16 | 51
	channelOpen, channelOpenOk         = 20<<16 | 10, 20<<16 | 11
	channelClose                       = 20<<16 | 40
	queueDeclare, queueDeclareOk       = 50<<16 | 10, 50<<16 | 11
	basicPublish, basicAck             = 60<<16 | 40, 60<<16 | 80
	basicQos, basicQosOk               = 60<<16 | 10, 60<<16 | 11
	basicConsume, basicConsumeOk       = 60<<16 | 20, 60<<16 | 21
	basicDeliver                       = 60<<16 | 60
	confirmSelect, confirmSelectOk     = 85<<16 | 10, 85<<16 | 11
)

// Kinds of frames.
const (
	frameMethod, frameHeader, frameBody, frameHeartbeat = 1, 2, 3, 8

	frameEnd = 0xce
)

// Write publishes one message, each by a connection of its own.
func (r RabbitMQ) Write(ctx context.Context, n int) error {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.ask(confirmSelect, []byte{0}, confirmSelectOk); err != nil {
		return err
	}
	publish := append([]byte{0, 0}, 0) // no ticket; the exchange that leads to queues
	publish = append(rabbitText(publish, rabbitQueue), 0)
	body := strconv.AppendInt(nil, int64(n), 10)
	header := binary.BigEndian.AppendUint16(nil, basicPublish>>16)
	header = binary.BigEndian.AppendUint16(header, 0)
	header = binary.BigEndian.AppendUint64(header, uint64(len(body)))
	header = append(header, 0x10, 0, 2) // it stays: delivery mode 2
	if err := errors.Join(c.method(1, basicPublish, publish), c.frame(frameHeader, 1, header), c.frame(frameBody, 1, body)); err != nil {
		return err
	}
	_, err = c.expect(basicAck)
	return err
}

// Read takes delivery of all messages that are in the queue, and puts them back by
// never saying that it has them. To get them one by one would be a decision of the
// whole cluster for each.
func (r RabbitMQ) Read(ctx context.Context) ([]int, error) {
	c, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	// Without a number of its own a consumer of a quorum queue gets 2000 at most.
	if _, err := c.ask(basicQos, []byte{0, 0, 0, 0, 0xff, 0xff, 0}, basicQosOk); err != nil {
		return nil, err
	}
	consume := append(rabbitText([]byte{0, 0}, rabbitQueue), 0) // a name of the broker's choice
	consume = append(consume, 0, 0, 0, 0, 0)
	consumers := 1 + int(c.messages)/0x8000 // each takes so many, and more
	for range consumers {
		if err := c.method(1, basicConsume, consume); err != nil {
			return nil, err
		}
	}
	texts := make([]string, 0, c.messages)
	// Deliveries may overtake the answers.
	for answered := 0; len(texts) < int(c.messages) || answered < consumers; {
		got, err := c.expect(basicConsumeOk, basicDeliver)
		if err != nil {
			return nil, fmt.Errorf("after %d of %d messages: %w", len(texts), c.messages, err)
		}
		if got == basicConsumeOk {
			answered++
			continue
		}
		if _, _, err := c.read(); err != nil { // the header
			return nil, err
		}
		_, body, err := c.read()
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(body))
	}
	return numbers(texts, nil)
}

type rabbitConn struct {
	net.Conn
	r *bufio.Reader
	// messages are how many were in the queue when it was named.
	messages uint32
}

func (r RabbitMQ) connect(ctx context.Context) (*rabbitConn, error) {
	conn, err := r.Dial(ctx, "tcp", r.Address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	c := &rabbitConn{Conn: conn, r: bufio.NewReader(conn)}
	if err := c.greet(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("rabbitmq: %w", err)
	}
	return c, nil
}

// greet opens the connection, a channel in it, and the queue.
func (c *rabbitConn) greet() error {
	if _, err := c.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	if _, err := c.expect(connectionStart); err != nil {
		return err
	}
	hello := rabbitText([]byte{0, 0, 0, 0}, "PLAIN") // nothing about the client
	hello = rabbitText(rabbitLong(hello, []byte("\x00guest\x00guest")), "en_US")
	if err := c.method(0, connectionStartOk, hello); err != nil {
		return err
	}
	if _, err := c.expect(connectionTune); err != nil {
		return err
	}
	tune := []byte{0, 1, 0, 1, 0, 0, 0, 0} // one channel, frames of 64 KiB, no heartbeat
	if err := c.method(0, connectionTuneOk, tune); err != nil {
		return err
	}
	if err := c.method(0, connectionOpen, append(rabbitText(nil, "/"), 0, 0)); err != nil {
		return err
	}
	if _, err := c.expect(connectionOpenOk); err != nil {
		return err
	}
	if _, err := c.ask(channelOpen, []byte{0}, channelOpenOk); err != nil {
		return err
	}
	kind := rabbitLong(append(rabbitText(nil, "x-queue-type"), 'S'), []byte("quorum"))
	declare := rabbitLong(append(rabbitText([]byte{0, 0}, rabbitQueue), 2), kind) // durable
	if err := c.method(1, queueDeclare, declare); err != nil {
		return err
	}
	payload, err := c.answer(queueDeclareOk)
	if err != nil {
		return err
	}
	// The name, how many messages, how many consumers.
	if at := 5 + int(payload[4]); len(payload) >= at+4 {
		c.messages = binary.BigEndian.Uint32(payload[at:])
	}
	return nil
}

// close says goodbye and waits for the answer, so that messages are back in the queue.
func (c *rabbitConn) close() {
	defer c.Conn.Close()
	if c.method(0, connectionClose, []byte{0, 200, 0, 0, 0, 0, 0}) != nil {
		return
	}
	for { // what was still on its way comes first
		kind, payload, err := c.read()
		if err != nil || kind == frameMethod && len(payload) >= 4 && binary.BigEndian.Uint32(payload) == connectionCloseOk {
			return
		}
	}
}

func (c *rabbitConn) ask(method uint32, arguments []byte, answer uint32) (uint32, error) {
	if err := c.method(1, method, arguments); err != nil {
		return 0, err
	}
	return c.expect(answer)
}

// expect reads one of these methods.
func (c *rabbitConn) expect(methods ...uint32) (uint32, error) {
	payload, err := c.answer(methods...)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(payload), nil
}

// answer is expect with what the method says: at least 5 bytes.
func (c *rabbitConn) answer(methods ...uint32) ([]byte, error) {
	kind, payload, err := c.read()
	if err != nil {
		return nil, err
	}
	if kind != frameMethod || len(payload) < 4 {
		return nil, fmt.Errorf("rabbitmq: a frame of kind %d", kind)
	}
	got := binary.BigEndian.Uint32(payload)
	if slices.Contains(methods, got) {
		return append(payload, 0), nil
	}
	if (got == connectionClose || got == channelClose) && len(payload) > 7 {
		return nil, fmt.Errorf("rabbitmq: %s", payload[7:])
	}
	return nil, fmt.Errorf("rabbitmq: method %d.%d", got>>16, got&0xffff)
}

func (c *rabbitConn) method(channel uint16, method uint32, arguments []byte) error {
	return c.frame(frameMethod, channel, append(binary.BigEndian.AppendUint32(nil, method), arguments...))
}

func (c *rabbitConn) frame(kind byte, channel uint16, payload []byte) error {
	head := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	_, err := c.Write(append(append(binary.BigEndian.AppendUint32(head, uint32(len(payload))), payload...), frameEnd))
	return err
}

func (c *rabbitConn) read() (kind byte, payload []byte, err error) {
	for {
		var head [7]byte
		if _, err := io.ReadFull(c.r, head[:]); err != nil {
			return 0, nil, err
		}
		payload = make([]byte, int(binary.BigEndian.Uint32(head[3:])&(1<<24-1))+1)
		if _, err := io.ReadFull(c.r, payload); err != nil {
			return 0, nil, err
		}
		if payload[len(payload)-1] != frameEnd {
			return 0, nil, errors.New("rabbitmq: a frame without an end")
		}
		if head[0] != frameHeartbeat {
			return head[0], payload[:len(payload)-1], nil
		}
	}
}

func rabbitText(to []byte, s string) []byte { return append(append(to, byte(len(s))), s...) }

func rabbitLong(to, text []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(text))), text...)
}
