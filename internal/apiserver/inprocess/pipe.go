package inprocess

import (
	"context"
	"errors"
	"io"
	"sync"
)

// pipeLimit is how much a handler may write ahead of its reader. It lets small
// answers finish without waiting and slows down a watch whose client is slow.
const pipeLimit = 64 << 10

var errReaderGone = errors.New("in-process client closed the response")

// pipe is a bounded in-memory stream.
type pipe struct {
	mu     sync.Mutex
	moved  sync.Cond
	buf    []byte
	read   int
	closed bool
	err    error
	gone   bool
	cancel context.CancelFunc
}

func newPipe(cancel context.CancelFunc) *pipe {
	p := &pipe{cancel: cancel}
	p.moved.L = &p.mu
	return p
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf)-p.read >= pipeLimit && !p.gone {
		p.moved.Wait()
	}
	if p.gone {
		return 0, errReaderGone
	}
	if p.read > 0 && p.read == len(p.buf) {
		p.buf, p.read = p.buf[:0], 0
	}
	p.buf = append(p.buf, b...)
	p.moved.Broadcast()
	return len(b), nil
}

// Read implements io.Reader for the client.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.read == len(p.buf) && !p.closed && !p.gone {
		p.moved.Wait()
	}
	if p.read < len(p.buf) && !p.gone {
		n := copy(b, p.buf[p.read:])
		p.read += n
		if p.read == len(p.buf) {
			p.drained()
		}
		p.moved.Broadcast()
		return n, nil
	}
	switch {
	case p.gone:
		return 0, errReaderGone
	case p.err != nil:
		return 0, p.err
	default:
		return 0, io.EOF
	}
}

// drained lets a long-lived stream give back the memory of one large write.
func (p *pipe) drained() {
	if cap(p.buf) > pipeLimit {
		p.buf = nil
	}
	p.buf, p.read = p.buf[:0], 0
}

// Close implements io.Closer for the client: the handler's context ends.
func (p *pipe) Close() error {
	p.closeRead()
	p.cancel()
	return nil
}

func (p *pipe) closeRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.buf, p.read = nil, 0
	p.moved.Broadcast()
}

func (p *pipe) closeWrite(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.err = true, err
	p.moved.Broadcast()
}
