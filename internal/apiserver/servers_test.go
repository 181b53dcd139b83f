package apiserver_test

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
)

// The endpoints of the kubernetes Service are the servers that live.
func TestKubernetesServiceHasTheServersThatLive(t *testing.T) {
	env := apitest.Start(t, func(c *apiserver.Config) {
		if err := c.Datastore.LetOthersIn(t.Context()); err != nil {
			t.Error(err)
		}
	})
	endpoints := func(want string) {
		t.Helper()
		deadline := time.Now().Add(time.Minute)
		for {
			e, err := env.Client.CoreV1().Endpoints("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			slice, err := env.Client.DiscoveryV1().EndpointSlices("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var old, now []string
			for _, s := range e.Subsets {
				for _, a := range s.Addresses {
					old = append(old, a.IP)
				}
			}
			for _, e := range slice.Endpoints {
				now = append(now, e.Addresses...)
			}
			got := strings.Join(old, " ") + " / " + strings.Join(now, " ")
			if got == want+" / "+want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %s, want %s", got, want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	// It is listed before it is ready.
	endpoints("192.0.2.1")
	other, stop := context.WithCancel(t.Context())
	go env.Store.Attend(other, "192.0.2.2", func(context.Context, []string) error { return nil })
	endpoints("192.0.2.1 192.0.2.2")
	stop()
	endpoints("192.0.2.1")
	// What a dead server of before has left is not kept.
	e, err := env.Client.CoreV1().Endpoints("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dead := e.Subsets[0].Addresses[0]
	dead.IP = "192.0.2.9"
	e.Subsets[0].Addresses = append(e.Subsets[0].Addresses, dead)
	if _, err := env.Client.CoreV1().Endpoints("default").Update(t.Context(), e, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	env.Restart()
	endpoints("192.0.2.1")
}
