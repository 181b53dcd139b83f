package load

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/bench/figure"
)

// informer times writes until the handler of a shared informer is called, one
// after the other.
func (l *Load) informer(ctx context.Context) (figure.Sample, error) {
	p, err := l.pod(ctx, noticed, "orders-0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(l.client, 0, informers.WithNamespace(noticed))
	called := make(chan time.Time, 1)
	i := factory.Core().V1().Pods().Informer()
	if _, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(_, obj any) {
		if sent, ok := stamped(obj.(*corev1.Pod).Annotations[sentAt]); ok {
			called <- sent
		}
	}}); err != nil {
		return nil, err
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), i.HasSynced) {
		return nil, errors.New("the informer did not sync")
	}
	var delays []time.Duration
	for range l.size.Informed {
		stamp(p, time.Now())
		answered := make(chan error, 1)
		go func() {
			var err error
			p, err = l.client.CoreV1().Pods(noticed).Update(ctx, p, metav1.UpdateOptions{})
			answered <- err
		}()
		select {
		case sent := <-called:
			delays = append(delays, time.Since(sent))
		case <-time.After(deliverWithin):
			return nil, errors.New("the informer was not told of a write")
		}
		if err := <-answered; err != nil {
			return nil, err
		}
	}
	return figure.Sample{
		"informer p50": figure.Percentile(delays, 50),
		"informer p99": figure.Percentile(delays, 99),
	}, nil
}
