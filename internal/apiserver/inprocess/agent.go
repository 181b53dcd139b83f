package inprocess

import (
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
)

// userAgent is how the client of an identity introduces itself. The API server
// takes what stands before the slash for the manager of the fields that the
// client writes, so it is the name of upstream's program that does this work:
// users meet it in managedFields and in the conflicts of server-side apply.
func userAgent(name string) string {
	return program(name) + "/berth/" + name
}

func program(name string) string {
	switch {
	case name == user.KubeScheduler:
		return "kube-scheduler"
	case name == user.APIServerUser:
		return "kube-apiserver"
	case strings.HasPrefix(name, "system:node:"):
		return "kubelet"
	case name == user.KubeControllerManager, strings.HasPrefix(name, "system:serviceaccount:kube-system:"):
		return "kube-controller-manager"
	}
	return "berth"
}
