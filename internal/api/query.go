package api

import (
	"net/url"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// query reads typed values out of query parameters and keeps the first error.
type query struct {
	values url.Values
	err    error
}

func readPodLogOptions(q *query, o *corev1.PodLogOptions) {
	o.Container = q.string("container")
	o.Follow = q.bool("follow")
	o.Previous = q.bool("previous")
	o.SinceSeconds = read(q, "sinceSeconds", runtime.Convert_Slice_string_To_Pointer_int64)
	o.SinceTime = read(q, "sinceTime", metav1.Convert_Slice_string_To_Pointer_v1_Time)
	o.Timestamps = q.bool("timestamps")
	o.TailLines = read(q, "tailLines", runtime.Convert_Slice_string_To_Pointer_int64)
	o.LimitBytes = read(q, "limitBytes", runtime.Convert_Slice_string_To_Pointer_int64)
	o.InsecureSkipTLSVerifyBackend = q.bool("insecureSkipTLSVerifyBackend")
	if s := q.string("stream"); s != "" {
		o.Stream = &s
	}
}

func readPodExecOptions(q *query, o *corev1.PodExecOptions) {
	o.Stdin = q.bool("stdin")
	o.Stdout = q.bool("stdout")
	o.Stderr = q.bool("stderr")
	o.TTY = q.bool("tty")
	o.Container = q.string("container")
	o.Command = q.values["command"]
}

func readPodAttachOptions(q *query, o *corev1.PodAttachOptions) {
	o.Stdin = q.bool("stdin")
	o.Stdout = q.bool("stdout")
	o.Stderr = q.bool("stderr")
	o.TTY = q.bool("tty")
	o.Container = q.string("container")
}

func (q *query) string(name string) string { return q.values.Get(name) }

func (q *query) bool(name string) bool {
	return read(q, name, runtime.Convert_Slice_string_To_bool)
}

func (q *query) int32s(name string) []int32 {
	return read(q, name, metav1.Convert_Slice_string_To_Slice_int32)
}

func read[T any](q *query, name string, convert func(*[]string, *T, conversion.Scope) error) T {
	var out T
	if given, ok := q.values[name]; ok && len(given) > 0 && q.err == nil {
		q.err = convert(&given, &out, nil)
	}
	return out
}
