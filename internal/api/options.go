package api

import (
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// addOptionConversions teaches s to read the query parameters of the pod and
// proxy subresources.
func addOptionConversions(s *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{
		fromQuery(readPodLogOptions),
		fromQuery(readPodExecOptions),
		fromQuery(readPodAttachOptions),
		fromQuery(func(q *query, o *corev1.PodPortForwardOptions) { o.Ports = q.int32s("ports") }),
		fromQuery(func(q *query, o *corev1.PodProxyOptions) { o.Path = q.string("path") }),
		fromQuery(func(q *query, o *corev1.NodeProxyOptions) { o.Path = q.string("path") }),
		fromQuery(func(q *query, o *corev1.ServiceProxyOptions) { o.Path = q.string("path") }),
	} {
		if err := add(s); err != nil {
			return err
		}
	}
	return nil
}

// fromQuery registers the conversion from query parameters to T.
func fromQuery[T any](read func(*query, *T)) func(*runtime.Scheme) error {
	return func(s *runtime.Scheme) error {
		return s.AddConversionFunc((*url.Values)(nil), (*T)(nil), func(a, b any, _ conversion.Scope) error {
			q := query{values: *a.(*url.Values)}
			read(&q, b.(*T))
			return q.err
		})
	}
}
