package admission

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// accountPatience is how long a pod in a new namespace waits for the
// namespace's default account, which a controller makes.
const accountPatience = time.Second

// accountFinder finds service accounts in the informer, then in the API; for
// the default one it also waits.
type accountFinder struct {
	client   kubernetes.Interface
	accounts corelisters.ServiceAccountLister
	synced   func() bool
	clock    clock.Clock

	mu    sync.Mutex
	added chan struct{} // closed at each new account
}

func newAccountFinder(o Options) (*accountFinder, error) {
	accounts := o.Informers.Core().V1().ServiceAccounts()
	f := &accountFinder{client: o.Client, accounts: accounts.Lister(), synced: accounts.Informer().HasSynced, clock: o.Clock, added: make(chan struct{})}
	_, err := accounts.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) {
		f.mu.Lock()
		defer f.mu.Unlock()
		close(f.added)
		f.added = make(chan struct{})
	}})
	return f, err
}

func (f *accountFinder) nextAdded() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.added
}

func (f *accountFinder) find(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	added := f.nextAdded()
	if account, err := f.accounts.ServiceAccounts(namespace).Get(name); err == nil {
		return account, nil
	}
	account, err := f.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	if !errors.IsNotFound(err) {
		return account, err
	}
	missing := errors.NewNotFound(corev1.Resource("serviceaccount"), name)
	if name != defaultAccount {
		return nil, missing
	}
	late := f.clock.NewTimer(accountPatience)
	defer late.Stop()
	for {
		select {
		case <-added:
			added = f.nextAdded()
			if account, err := f.accounts.ServiceAccounts(namespace).Get(name); err == nil {
				return account, nil
			}
		case <-late.C():
			return nil, missing
		case <-ctx.Done():
			return nil, missing
		}
	}
}
