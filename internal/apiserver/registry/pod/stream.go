package pod

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	streamproxy "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// Stream serves exec, attach and portforward: connections that are upgraded
// and passed on to the node's agent. SPDY goes through as it is; what comes in
// over WebSockets is translated to SPDY.
type Stream struct {
	store      *genericregistry.Store
	nodes      *Nodes
	authorizer authorizer.Authorizer
	options    func() runtime.Object
	// locate returns the path and query at the agent and the streams to translate.
	locate func(pod *corev1.Pod, options runtime.Object) (path string, query url.Values, streams *streamproxy.Options, err error)
}

var _ rest.Connecter = &Stream{}

// NewExec serves pods/exec.
func NewExec(store *genericregistry.Store, nodes *Nodes, a authorizer.Authorizer) *Stream {
	return &Stream{store, nodes, a, func() runtime.Object { return &corev1.PodExecOptions{} }, locateExec}
}

// NewAttach serves pods/attach.
func NewAttach(store *genericregistry.Store, nodes *Nodes, a authorizer.Authorizer) *Stream {
	return &Stream{store, nodes, a, func() runtime.Object { return &corev1.PodAttachOptions{} }, locateAttach}
}

// NewPortForward serves pods/portforward.
func NewPortForward(store *genericregistry.Store, nodes *Nodes, a authorizer.Authorizer) *Stream {
	return &Stream{store, nodes, a, func() runtime.Object { return &corev1.PodPortForwardOptions{} }, locatePortForward}
}

// New implements rest.Storage.
func (s *Stream) New() runtime.Object { return s.options() }

// Destroy implements rest.Storage; the storage belongs to the main endpoint.
func (s *Stream) Destroy() {}

// NewConnectOptions implements rest.Connecter.
func (s *Stream) NewConnectOptions() (runtime.Object, bool, string) { return s.options(), false, "" }

// ConnectMethods implements rest.Connecter.
func (s *Stream) ConnectMethods() []string { return []string{http.MethodGet, http.MethodPost} }

// Connect implements rest.Connecter.
func (s *Stream) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	if err := mayCreate(ctx, s.authorizer); err != nil {
		return nil, err
	}
	obj, err := s.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod := obj.(*corev1.Pod)
	path, query, streams, err := s.locate(pod, options)
	if err != nil {
		return nil, err
	}
	if pod.Spec.NodeName == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", name))
	}
	where, err := s.nodes.agent(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	where.Path, where.RawQuery = path, query.Encode()
	plain := proxy.NewUpgradeAwareHandler(where, s.nodes.streams, false, true, proxy.NewErrorResponder(responder))
	if streams == nil {
		return streamproxy.NewTranslatingHandler(plain, streamproxy.NewTunnelingHandler(plain), wsstream.IsWebSocketRequestWithTunnelingProtocol), nil
	}
	translated := streamproxy.NewStreamTranslatorHandler(where, s.nodes.streams, 0, *streams)
	return streamproxy.NewTranslatingHandler(plain, translated, wsstream.IsWebSocketRequestWithStreamCloseProtocol), nil
}

func locateExec(pod *corev1.Pod, options runtime.Object) (string, url.Values, *streamproxy.Options, error) {
	o, ok := options.(*corev1.PodExecOptions)
	if !ok {
		return "", nil, nil, fmt.Errorf("invalid options object: %#v", options)
	}
	// Checked here, because a finished pod's agent may have nothing left to ask.
	if finished(pod) {
		return "", nil, nil, apierrors.NewBadRequest(fmt.Sprintf("cannot exec into a container in a completed pod; current phase is %s", pod.Status.Phase))
	}
	q := url.Values{}
	for _, word := range o.Command {
		q.Add("command", word)
	}
	return streamsOf(pod, "exec", o.Container, q, streamproxy.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY})
}

func locateAttach(pod *corev1.Pod, options runtime.Object) (string, url.Values, *streamproxy.Options, error) {
	o, ok := options.(*corev1.PodAttachOptions)
	if !ok {
		return "", nil, nil, fmt.Errorf("invalid options object: %#v", options)
	}
	return streamsOf(pod, "attach", o.Container, url.Values{}, streamproxy.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY})
}

func streamsOf(pod *corev1.Pod, verb, wanted string, q url.Values, o streamproxy.Options) (string, url.Values, *streamproxy.Options, error) {
	c, err := container(pod, wanted)
	if err != nil {
		return "", nil, nil, err
	}
	for name, set := range map[string]bool{"input": o.Stdin, "output": o.Stdout, "error": o.Stderr, "tty": o.Tty} {
		if set {
			q.Set(name, "1")
		}
	}
	return fmt.Sprintf("/%s/%s/%s/%s", verb, pod.Namespace, pod.Name, c), q, &o, nil
}

func locatePortForward(pod *corev1.Pod, options runtime.Object) (string, url.Values, *streamproxy.Options, error) {
	o, ok := options.(*corev1.PodPortForwardOptions)
	if !ok {
		return "", nil, nil, fmt.Errorf("invalid options object: %#v", options)
	}
	q := url.Values{}
	if len(o.Ports) > 0 {
		var ports []string
		for _, p := range o.Ports {
			ports = append(ports, strconv.Itoa(int(p)))
		}
		q.Set("port", strings.Join(ports, ","))
	}
	return fmt.Sprintf("/portForward/%s/%s", pod.Namespace, pod.Name), q, nil, nil
}
