package inprocess

import "testing"

func TestTheManagerOfFieldsIsUpstreamsProgram(t *testing.T) {
	for name, want := range map[string]string{
		"system:kube-scheduler":          "kube-scheduler/berth/system:kube-scheduler",
		"system:apiserver":               "kube-apiserver/berth/system:apiserver",
		"system:node:n1":                 "kubelet/berth/system:node:n1",
		"system:kube-controller-manager": "kube-controller-manager/berth/system:kube-controller-manager",
		"system:serviceaccount:kube-system:statefulset-controller": "kube-controller-manager/berth/system:serviceaccount:kube-system:statefulset-controller",
		"system:serviceaccount:default:statefulset-controller":     "berth/berth/system:serviceaccount:default:statefulset-controller",
		"system:admin": "berth/berth/system:admin",
	} {
		if got := ClientConfig(nil, name).UserAgent; got != want {
			t.Errorf("%s introduces itself as %s, want %s", name, got, want)
		}
	}
}
