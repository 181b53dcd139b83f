package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"berth.dev/berth/bench/figure"
)

const pageSize = 500

// continuation is a list's token to go on with. It stands at the list's
// beginning, in JSON and in protobuf alike, and is the base64 form of an
// object that begins with {"v":".
var continuation = regexp.MustCompile(`eyJ2Ijoi[A-Za-z0-9_-]+`)

// list reads all pods in the ways that clients do. What comes is not decoded,
// which would take the client longer than the server needs to answer.
func (l *Load) list(ctx context.Context) (figure.Sample, error) {
	sample := figure.Sample{}
	for _, form := range []struct{ name, contentType string }{{"protobuf", runtime.ContentTypeProtobuf}, {"JSON", runtime.ContentTypeJSON}} {
		for _, way := range []struct {
			name    string
			options metav1.ListOptions
		}{
			{"full", metav1.ListOptions{}},
			{"paged", metav1.ListOptions{Limit: pageSize}},
			{"cache", metav1.ListOptions{ResourceVersion: "0"}},
		} {
			began := time.Now()
			if err := l.listOnce(ctx, form.contentType, way.options); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", way.name, form.name, err)
			}
			sample["list "+way.name+" "+form.name] = ms(time.Since(began))
		}
	}
	return sample, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (l *Load) listOnce(ctx context.Context, contentType string, options metav1.ListOptions) error {
	want := 1
	if options.Limit > 0 {
		want = (l.created + pageSize - 1) / pageSize
	}
	bodies := 0
	for pages := 1; ; pages++ {
		stream, err := l.client.CoreV1().RESTClient().Get().Namespace(many).Resource("pods").
			VersionedParams(&options, scheme.ParameterCodec).SetHeader("Accept", contentType).Stream(ctx)
		if err != nil {
			return err
		}
		head := make([]byte, 1024)
		n, err := io.ReadFull(stream, head)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.Join(err, stream.Close())
		}
		rest, err := io.Copy(io.Discard, stream)
		if err := errors.Join(err, stream.Close()); err != nil {
			return err
		}
		bodies += n + int(rest)
		token := continuation.Find(head[:n])
		if token == nil {
			// A pod is no smaller than this in either form.
			if pages != want || bodies < 1000*l.created {
				return fmt.Errorf("%d bytes in %d pages for %d pods", bodies, pages, l.created)
			}
			return nil
		}
		options.Continue = string(bytes.Clone(token))
	}
}
