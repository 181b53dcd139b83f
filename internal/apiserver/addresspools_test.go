package apiserver_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// Of pools with the same addresses that two servers are asked for in the same
// instant, one is made, and the others are refused as they would be later.
func TestPoolsOfTwoServers(t *testing.T) {
	var config apiserver.Config
	env := apitest.Start(t, func(c *apiserver.Config) { config = *c })
	second, err := apiserver.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- second.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-ready
	other, err := kubernetes.NewForConfig(second.ClientConfig("admin", "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	clients := []kubernetes.Interface{env.Client, other}
	for round := range 20 {
		var wait sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			wait.Go(func() {
				body := fmt.Sprintf(`{"apiVersion": %q, "kind": "SpiderIPPool", "metadata": {"name": "p-%d-%d"}, "spec": {"subnet": "10.%d.0.0/16", "ips": ["10.%d.0.1-10.%d.0.%d"]}}`,
					spiderpoolv2beta1.SchemeGroupVersion, round, i, round, round, round, 10+i)
				errs[i] = clients[i%2].CoreV1().RESTClient().Post().AbsPath("/apis/spiderpool.spidernet.io/v2beta1/spiderippools").
					SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(t.Context()).Error()
			})
		}
		wait.Wait()
		made := 0
		for i, err := range errs {
			switch {
			case err == nil:
				made++
			case !apierrors.IsInvalid(err):
				t.Errorf("round %d, pool %d: %v", round, i, err)
			}
		}
		if made != 1 {
			t.Fatalf("round %d: %d pools with the same addresses", round, made)
		}
	}
}
