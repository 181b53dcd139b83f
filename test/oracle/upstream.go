package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Upstream is a running test/oracle/upstream.
type Upstream struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	ask     *json.Encoder
	buffer  *bufio.Writer
	answers *json.Decoder
}

// StartUpstream runs the program; it ends with Close or with the context.
func StartUpstream(ctx context.Context, program string) (*Upstream, error) {
	cmd := exec.CommandContext(ctx, program)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make oracle builds it)", err)
	}
	buffer := bufio.NewWriterSize(in, 1<<20)
	return &Upstream{
		cmd: cmd, in: in, buffer: buffer, ask: json.NewEncoder(buffer),
		answers: json.NewDecoder(bufio.NewReaderSize(out, 1<<20)),
	}, nil
}

// Ask lets upstream's controller look at a state once.
func (u *Upstream) Ask(s *State) (*Answer, error) {
	if err := u.ask.Encode(s); err != nil {
		return nil, fmt.Errorf("ask upstream: %w", err)
	}
	if err := u.buffer.Flush(); err != nil {
		return nil, fmt.Errorf("ask upstream: %w", err)
	}
	a := &Answer{}
	if err := u.answers.Decode(a); err != nil {
		return nil, fmt.Errorf("upstream's answer: %w", err)
	}
	return a, nil
}

// Close ends the program.
func (u *Upstream) Close() error {
	if err := u.in.Close(); err != nil {
		return err
	}
	return u.cmd.Wait()
}
