package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Redis adds members to a set, by Redis' own protocol.
type Redis struct {
	Dial Dial
	// To is where records are written, From where they are read.
	To, From string
}

// Write adds one member.
func (r Redis) Write(ctx context.Context, n int) error {
	_, err := r.Ask(ctx, r.To, "SADD", "records", strconv.Itoa(n))
	return err
}

// Read lists the members.
func (r Redis) Read(ctx context.Context) ([]int, error) {
	return numbers(r.Ask(ctx, r.From, "SMEMBERS", "records"))
}

// Ask sends one command and returns the texts of the answer.
func (r Redis) Ask(ctx context.Context, server string, words ...string) ([]string, error) {
	conn, err := r.Dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	question := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		question += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := conn.Write([]byte(question)); err != nil {
		return nil, err
	}
	return redisAnswer(bufio.NewReader(conn))
}

func redisAnswer(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, rest := line[0], strings.TrimSpace(line[1:])
	switch kind {
	case '+', ':':
		return []string{rest}, nil
	case '-':
		return nil, errors.New("redis: " + rest)
	case '$':
		text, err := r.ReadString('\n')
		return []string{strings.TrimSpace(text)}, err
	case '*':
		count, err := strconv.Atoi(rest)
		var all []string
		for ; count > 0 && err == nil; count-- {
			var one []string
			one, err = redisAnswer(r)
			all = append(all, one...)
		}
		return all, err
	}
	return nil, fmt.Errorf("redis: %q", line)
}
