package load

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/bench/figure"
)

func podName(i int) string { return fmt.Sprintf("orders-%d", i) }

func (l *Load) create(ctx context.Context) (figure.Sample, error) {
	from := l.created
	rate, err := l.rate(ctx, l.size.Creates, func(ctx context.Context, i int) error {
		_, err := l.client.CoreV1().Pods(many).Create(ctx, newPod(many, podName(from+i)), metav1.CreateOptions{})
		return err
	})
	l.created += l.size.Creates
	return figure.Sample{"create": rate}, err
}

// update replaces each of some pods once.
func (l *Load) update(ctx context.Context) (figure.Sample, error) {
	pods := make([]*corev1.Pod, min(l.size.Updates, l.created))
	if err := each(ctx, l.size.Workers, len(pods), func(ctx context.Context, i int) (err error) {
		pods[i], err = l.client.CoreV1().Pods(many).Get(ctx, podName(i), metav1.GetOptions{})
		return err
	}); err != nil {
		return nil, err
	}
	rate, err := l.rate(ctx, len(pods), func(ctx context.Context, i int) error {
		stamp(pods[i], time.Now())
		_, err := l.client.CoreV1().Pods(many).Update(ctx, pods[i], metav1.UpdateOptions{})
		return err
	})
	return figure.Sample{"update": rate}, err
}

func (l *Load) get(ctx context.Context) (figure.Sample, error) {
	rate, err := l.rate(ctx, l.size.Gets, func(ctx context.Context, i int) error {
		// Far apart, so that no two workers ask for the same.
		_, err := l.client.CoreV1().Pods(many).Get(ctx, podName(i*7919%l.created), metav1.GetOptions{})
		return err
	})
	return figure.Sample{"get": rate}, err
}
