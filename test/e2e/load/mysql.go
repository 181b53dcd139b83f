package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// MySQL inserts rows by MySQL's own protocol, as root without a password.
type MySQL struct {
	Dial Dial
	// To is where records are written, From where they are read.
	To, From string
}

// Write inserts one row, each by a connection of its own.
func (m MySQL) Write(ctx context.Context, n int) error {
	c, err := m.connect(ctx, m.To)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.query("INSERT INTO berth.records VALUES (" + strconv.Itoa(n) + ")")
	if err == nil {
		return nil
	}
	// The first write of all makes the table.
	for _, statement := range []string{
		"CREATE DATABASE IF NOT EXISTS berth",
		"CREATE TABLE IF NOT EXISTS berth.records (n INT PRIMARY KEY)",
		"INSERT INTO berth.records VALUES (" + strconv.Itoa(n) + ")",
	} {
		if _, failed := c.query(statement); failed != nil {
			return errors.Join(err, failed)
		}
	}
	return nil
}

// Read lists the rows.
func (m MySQL) Read(ctx context.Context) ([]int, error) {
	rows, err := m.Query(ctx, m.From, "SELECT n FROM berth.records ORDER BY n")
	return numbers(rows, err)
}

// Query asks a server and returns the first column.
func (m MySQL) Query(ctx context.Context, server, statement string) ([]string, error) {
	c, err := m.connect(ctx, server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.query(statement)
}

func (m MySQL) connect(ctx context.Context, server string) (*mysqlConn, error) {
	conn, err := m.Dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	c := &mysqlConn{Conn: conn, r: bufio.NewReader(conn)}
	if err := c.greet(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("mysql: %w", err)
	}
	return c, nil
}

// mysqlConn speaks in packets: three bytes of length, a number, the payload.
type mysqlConn struct {
	net.Conn
	r   *bufio.Reader
	seq byte
}

// Close says goodbye, so that the server need not write down that nobody did.
func (c *mysqlConn) Close() error {
	c.seq = 0
	_ = c.send([]byte{1})
	return c.Conn.Close()
}

func (c *mysqlConn) greet() error {
	hello, err := c.packet()
	if err != nil {
		return err
	}
	if hello[0] != 10 {
		return mysqlError(hello)
	}
	const protocol41, secureConnection, utf8mb4 = 0x200, 0x8000, 45
	answer := []byte{protocol41 & 0xff, (protocol41 | secureConnection) >> 8, 0, 0, 0, 0, 0, 1, utf8mb4}
	answer = append(answer, make([]byte, 23)...)
	answer = append(answer, "root\x00\x00"...) // no password
	if err := c.send(answer); err != nil {
		return err
	}
	for {
		reply, err := c.packet()
		if err != nil {
			return err
		}
		switch reply[0] {
		case 0:
			return nil
		case 0xfe: // another way to say no password
			if err := c.send(nil); err != nil {
				return err
			}
		default:
			return mysqlError(reply)
		}
	}
}

// query returns the first column of what a statement selects.
func (c *mysqlConn) query(statement string) ([]string, error) {
	c.seq = 0
	if err := c.send(append([]byte{3}, statement...)); err != nil {
		return nil, err
	}
	reply, err := c.packet()
	switch {
	case err != nil:
		return nil, err
	case reply[0] == 0:
		return nil, nil
	case reply[0] == 0xff:
		return nil, mysqlError(reply)
	}
	var rows []string
	for ends := 0; ends < 2; { // the columns' descriptions, then the rows
		p, err := c.packet()
		switch {
		case err != nil:
			return nil, err
		case p[0] == 0xff:
			return nil, mysqlError(p)
		case p[0] == 0xfe && len(p) < 9:
			ends++
		case ends == 1 && p[0] < 0xfb:
			rows = append(rows, string(p[1:1+int(p[0])]))
		case ends == 1:
			return nil, fmt.Errorf("mysql: %q selects what is no short text", statement)
		}
	}
	return rows, nil
}

func (c *mysqlConn) send(payload []byte) error {
	head := []byte{byte(len(payload)), byte(len(payload) >> 8), byte(len(payload) >> 16), c.seq}
	_, err := c.Write(append(head, payload...))
	return err
}

func (c *mysqlConn) packet() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	c.seq = head[3] + 1
	payload := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	if len(payload) == 0 {
		return nil, errors.New("an empty packet")
	}
	_, err := io.ReadFull(c.r, payload)
	return payload, err
}

func mysqlError(packet []byte) error {
	if len(packet) > 9 && packet[0] == 0xff {
		return fmt.Errorf("mysql: %s", packet[9:])
	}
	return fmt.Errorf("mysql: %q", packet)
}
