package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// tellProblems records, once a start, which stored Services hold node ports
// that they should not.
func (s *Server) tellProblems(ctx context.Context, client kubernetes.Interface) error {
	for len(s.problems) > 0 {
		p := s.problems[0]
		if err := s.event(ctx, client, p.Service, "Service", "v1", portRepair, p.Reason, p.Message); err != nil {
			return err
		}
		s.problems = s.problems[1:]
	}
	return nil
}

func inconsistent(have, want []string) string {
	return fmt.Sprintf("The default ServiceCIDR %v does not match the controller flag configurations %s", have, want)
}

func (s *Server) event(ctx context.Context, client kubernetes.Interface, about metav1.Object, kind, version, source, reason, message string) error {
	namespace := about.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	now := metav1.Now()
	_, err := client.CoreV1().Events(namespace).Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s.%x", about.GetName(), now.UnixNano())},
		InvolvedObject: corev1.ObjectReference{
			Kind: kind, APIVersion: version, Namespace: about.GetNamespace(), Name: about.GetName(), UID: about.GetUID(), ResourceVersion: about.GetResourceVersion(),
		},
		Reason: reason, Message: message, Type: corev1.EventTypeWarning, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: source}, ReportingController: source,
	}, metav1.CreateOptions{})
	return err
}
