package inprocess

import (
	"context"
	"net/http"
	"sync"
)

// writer is the server's side of one response. It offers http.Flusher and
// http.CloseNotifier because the API server's watch handlers insist on them.
type writer struct {
	ctx     context.Context // ends with the request or when the client closes the body
	header  http.Header
	body    *pipe
	request *http.Request
	once    sync.Once
	// started carries the response once its header is written, or is closed
	// when the handler gave up before that; err says why.
	started chan *http.Response
	err     error
}

func newWriter(ctx context.Context, req *http.Request, cancel context.CancelFunc) *writer {
	return &writer{
		ctx:     ctx,
		header:  http.Header{},
		body:    newPipe(cancel),
		request: req,
		started: make(chan *http.Response, 1),
	}
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(code int) {
	if code < http.StatusOK {
		return
	}
	w.once.Do(func() {
		w.started <- &http.Response{
			Status:        http.StatusText(code),
			StatusCode:    code,
			Proto:         "HTTP/2.0",
			ProtoMajor:    2,
			Header:        w.header.Clone(),
			Body:          w.body,
			ContentLength: -1,
			Request:       w.request,
		}
	})
}

func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.write(p)
}

// Flush has nothing to do but to send the header: readers see every write at once.
func (w *writer) Flush() { w.WriteHeader(http.StatusOK) }

// CloseNotify is asked for by handlers that also look at the request's context.
func (w *writer) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(w.ctx, func() { gone <- true })
	return gone
}

func (w *writer) finish() {
	w.WriteHeader(http.StatusOK)
	w.body.closeWrite(nil)
}

func (w *writer) abort(err error) {
	w.once.Do(func() {
		w.err = err
		close(w.started)
	})
	w.body.closeWrite(err)
}
