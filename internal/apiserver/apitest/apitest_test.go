package apitest

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func TestStart(t *testing.T) {
	begun := time.Now()
	e := Start(t)
	t.Logf("ready after %s", time.Since(begun))
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"k": "v"}}
	if _, err := e.Client.CoreV1().ConfigMaps("default").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	outside, err := kubernetes.NewForConfig(e.TLS)
	if err != nil {
		t.Fatal(err)
	}
	version, err := outside.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(version)
	begun = time.Now()
	e.Restart()
	t.Logf("restarted in %s", time.Since(begun))
	got, err := e.Client.CoreV1().ConfigMaps("default").Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || got.Data["k"] != "v" {
		t.Fatalf("%v, %v", got, err)
	}
}
