package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"berth.dev/berth/bench/figure"
)

// deliverWithin bounds the wait for events.
const deliverWithin = time.Minute

// fanOut has many watchers of one namespace. First each write waits until all
// have seen the one before, which gives the delay; then some are made at once,
// which gives the rate.
func (l *Load) fanOut(ctx context.Context) (figure.Sample, error) {
	p, err := l.pod(ctx, watched, "orders-0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	c := &crowd{seen: make([]*watcher, l.size.Watchers), all: make(chan struct{}, 1)}
	if err := each(ctx, l.size.Workers, l.size.Watchers, func(_ context.Context, i int) error {
		stream, err := l.watch(ctx, watched, p.ResourceVersion)
		if err != nil {
			return err
		}
		c.seen[i] = &watcher{}
		running.Go(func() { c.read(c.seen[i], stream) })
		return nil
	}); err != nil {
		return nil, err
	}
	write := func(n int) error {
		for range n {
			stamp(p, time.Now())
			if p, err = l.client.CoreV1().Pods(watched).Update(ctx, p, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
	for range l.size.FanOut {
		c.expect(int64(l.size.Watchers))
		if err := errors.Join(write(1), c.wait(ctx)); err != nil {
			return nil, err
		}
	}
	delays := c.delays()
	events := l.size.Burst * l.size.Watchers
	began := time.Now()
	c.expect(int64(events))
	if err := errors.Join(write(l.size.Burst), c.wait(ctx)); err != nil {
		return nil, err
	}
	return figure.Sample{
		"events":    float64(events) / time.Since(began).Seconds(),
		"event p50": figure.Percentile(delays, 50),
		"event p99": figure.Percentile(delays, 99),
	}, nil
}

// pod is the pod of that name, made if need be.
func (l *Load) pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	p, err := l.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return l.client.CoreV1().Pods(namespace).Create(ctx, newPod(namespace, name), metav1.CreateOptions{})
	}
	return p, err
}

// watch opens a stream of encoded events.
func (l *Load) watch(ctx context.Context, namespace, from string) (io.ReadCloser, error) {
	options := metav1.ListOptions{Watch: true, ResourceVersion: from}
	return l.client.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").
		VersionedParams(&options, scheme.ParameterCodec).
		SetHeader("Accept", runtime.ContentTypeProtobuf+";stream=watch").Stream(ctx)
}

// crowd are all watchers and how many events they still wait for.
type crowd struct {
	seen    []*watcher
	missing atomic.Int64
	all     chan struct{}
}

// watcher is one of them. Its delays are written between expect and the end of
// wait only.
type watcher struct{ delays []time.Duration }

func (c *crowd) expect(events int64) { c.missing.Store(events) }

func (c *crowd) wait(ctx context.Context) error {
	select {
	case <-c.all:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(deliverWithin):
		return fmt.Errorf("%d events did not arrive within %s", c.missing.Load(), deliverWithin)
	}
}

func (c *crowd) delays() []time.Duration {
	var all []time.Duration
	for _, w := range c.seen {
		all = append(all, w.delays...)
	}
	return all
}

// read takes in events until the stream ends. They are not decoded: a thousand
// clients on the server's machine would be measured instead of the server.
func (c *crowd) read(w *watcher, stream io.ReadCloser) {
	defer stream.Close()
	frames := protobuf.LengthDelimitedFramer.NewFrameReader(stream)
	frame := make([]byte, 16<<10)
	for {
		n, err := frames.Read(frame)
		if err != nil {
			return
		}
		if sent, ok := stamped(string(frame[:n])); ok {
			w.delays = append(w.delays, time.Since(sent))
			if c.missing.Add(-1) == 0 {
				c.all <- struct{}{}
			}
		}
	}
}
