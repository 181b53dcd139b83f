package register

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"berth.dev/berth/internal/plan/nodeloss"
)

// versioned has the fake API refuse leases that are not the latest, and counts
// what it refuses.
type versioned struct {
	mu       sync.Mutex
	version  int
	refused  int
	renewals int
}

func (v *versioned) react(a clienttesting.Action) (bool, runtime.Object, error) {
	w, ok := a.(interface{ GetObject() runtime.Object })
	if !ok {
		return false, nil, nil
	}
	l := w.GetObject().(*coordinationv1.Lease)
	v.mu.Lock()
	defer v.mu.Unlock()
	if a.GetVerb() == "update" && l.ResourceVersion != strconv.Itoa(v.version) {
		v.refused++
		return true, nil, apierrors.NewConflict(coordinationv1.Resource("leases"), l.Name, errors.New("it has changed"))
	}
	v.version++
	v.renewals++
	l.ResourceVersion = strconv.Itoa(v.version)
	return false, nil, nil
}

func (v *versioned) counts() (renewals, refused int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.renewals, v.refused
}

// A promise is sent as soon as there is one, beside the renewals that come with
// time, and none of them disturbs another.
func TestPromiseAtOnce(t *testing.T) {
	var mu sync.Mutex
	promised, renewed := []types.UID{"one"}, 0
	w := start(t, func(c *Config) {
		c.Renewals = func() (nodeloss.Promise, func()) {
			mu.Lock()
			defer mu.Unlock()
			return nodeloss.Promise{After: 40 * time.Second, Pods: promised}, func() {
				mu.Lock()
				defer mu.Unlock()
				renewed++
			}
		}
	})
	api := &versioned{}
	w.client.PrependReactor("*", "leases", api.react)
	w.Renew() // before there is a lease: the first one says it
	w.run(t)
	says := func(pods ...types.UID) {
		t.Helper()
		want := nodeloss.Promise{After: 40 * time.Second, Pods: pods}.String()
		soon(t, want, func() bool {
			l, err := w.client.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), "n1", metav1.GetOptions{})
			return err == nil && l.Annotations[nodeloss.LeaseAnnotation] == want && l.Spec.RenewTime.Time.Equal(w.clock.Now())
		})
	}
	says("one")
	promise := func(more types.UID) {
		t.Helper()
		mu.Lock()
		promised = append(promised, more)
		now := slices.Clone(promised)
		mu.Unlock()
		w.clock.Step(time.Second)
		w.Renew()
		says(now...)
	}
	promise("two")
	before, _ := api.counts()
	soon(t, "the renewal that is due", func() bool { // by the clock on the wall
		n, _ := api.counts()
		return n > before
	})
	promise("three")
	n, refused := api.counts()
	if refused != 0 {
		t.Errorf("%d renewals collided", refused)
	}
	soon(t, "all are known to be sent", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return renewed >= n
	})
}
