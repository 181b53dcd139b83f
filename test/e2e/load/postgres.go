package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Postgres inserts rows by PostgreSQL's own protocol, as postgres without a password.
type Postgres struct {
	Dial Dial
	// To is where records are written, From where they are read.
	To, From string
}

// Write inserts one row, each by a connection of its own.
func (p Postgres) Write(ctx context.Context, n int) error {
	insert := "INSERT INTO records VALUES (" + strconv.Itoa(n) + ")"
	_, err := p.Query(ctx, p.To, insert)
	if err != nil && strings.Contains(err.Error(), `"records" does not exist`) { // the first of all
		_, err = p.Query(ctx, p.To, "CREATE TABLE IF NOT EXISTS records (n INT PRIMARY KEY); "+insert)
	}
	return err
}

// Read lists the rows.
func (p Postgres) Read(ctx context.Context) ([]int, error) {
	return numbers(p.Query(ctx, p.From, "SELECT n FROM records ORDER BY n"))
}

// Query asks a server and returns the first column.
func (p Postgres) Query(ctx context.Context, server, statement string) ([]string, error) {
	conn, err := p.Dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	const version3 = 3 << 16
	hello := append(binary.BigEndian.AppendUint32(nil, version3), "user\x00postgres\x00database\x00postgres\x00\x00"...)
	if _, err := conn.Write(sized(nil, hello)); err != nil {
		return nil, err
	}
	if _, err := postgresAnswer(conn); err != nil {
		return nil, err
	}
	if _, err := conn.Write(sized([]byte{'Q'}, append([]byte(statement), 0))); err != nil {
		return nil, err
	}
	rows, err := postgresAnswer(conn)
	_, _ = conn.Write(sized([]byte{'X'}, nil)) // goodbye
	return rows, err
}

// sized puts a message's length, which counts itself, before it.
func sized(kind, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(kind, uint32(len(body)+4)), body...)
}

// postgresAnswer reads until the server is ready for the next question.
func postgresAnswer(conn net.Conn) (rows []string, failed error) {
	for {
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return nil, errors.Join(failed, err)
		}
		body := make([]byte, max(binary.BigEndian.Uint32(head[1:]), 4)-4)
		if _, err := io.ReadFull(conn, body); err != nil {
			return nil, errors.Join(failed, err)
		}
		switch head[0] {
		case 'Z':
			return rows, failed
		case 'E':
			failed = fmt.Errorf("postgresql: %s", strings.ReplaceAll(string(body), "\x00", " "))
		case 'R':
			if binary.BigEndian.Uint32(body) != 0 {
				return nil, errors.New("postgresql: a password is wanted")
			}
		case 'D':
			if size := int32(binary.BigEndian.Uint32(body[2:])); size >= 0 {
				rows = append(rows, string(body[6:6+size]))
			}
		}
	}
}
