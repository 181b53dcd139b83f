// Package secrettoken fills Secrets of type kubernetes.io/service-account-token
// with a token of the account that they name, the certificate authority and the
// namespace, deletes those whose account is gone, and has accounts no longer
// list those that are. It runs within the API
// server, which alone signs tokens, and only once there is a Secret.
package secrettoken

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// retries is how often a failing Secret is tried again before it has to change.
const retries = 10

// Issuer signs the token that a Secret is to hold.
type Issuer interface {
	ForSecret(account *corev1.ServiceAccount, secret *corev1.Secret) (string, error)
}

// Filler keeps the Secrets.
type Filler struct {
	client   kubernetes.Interface
	accounts informers.SharedInformerFactory
	issuer   Issuer
	ca       []byte // PEM
	logger   *slog.Logger
	queue    workqueue.TypedRateLimitingInterface[types.NamespacedName]
	secrets  corelisters.SecretLister
}

// New returns a Filler that follows the accounts of f, which others start.
func New(client kubernetes.Interface, f informers.SharedInformerFactory, issuer Issuer, ca []byte, logger *slog.Logger) *Filler {
	return &Filler{
		client: client, accounts: f, issuer: issuer, ca: ca, logger: logger,
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](10*time.Millisecond, time.Minute)),
	}
}

// Run works until ctx ends.
func (f *Filler) Run(ctx context.Context) error {
	defer f.queue.ShutDown()
	only := informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("type", string(corev1.SecretTypeServiceAccountToken)).String()
	})
	own := informers.NewSharedInformerFactoryWithOptions(f.client, 0, only)
	secrets := own.Core().V1().Secrets()
	f.secrets = secrets.Lister()
	if _, err := secrets.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    f.secretChanged,
		UpdateFunc: func(_, is any) { f.secretChanged(is) },
		DeleteFunc: f.secretChanged,
	}); err != nil {
		return err
	}
	accounts := f.accounts.Core().V1().ServiceAccounts().Informer()
	handler, err := accounts.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: f.accountChanged, DeleteFunc: f.accountChanged})
	if err != nil {
		return err
	}
	defer func() { _ = accounts.RemoveEventHandler(handler) }()
	own.Start(ctx.Done())
	defer own.Shutdown()
	go func() {
		<-ctx.Done()
		f.queue.ShutDown()
	}()
	if !cache.WaitForCacheSync(ctx.Done(), secrets.Informer().HasSynced) {
		return nil
	}
	for f.next(ctx) {
	}
	return nil
}

func (f *Filler) secretChanged(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if s, ok := obj.(*corev1.Secret); ok {
		f.queue.Add(types.NamespacedName{Namespace: s.Namespace, Name: s.Name})
	}
}

// accountChanged looks again at the Secrets that name the account.
func (f *Filler) accountChanged(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	account, ok := obj.(*corev1.ServiceAccount)
	if !ok {
		return
	}
	list, _ := f.secrets.Secrets(account.Namespace).List(labels.Everything()) // from memory: does not fail
	for _, s := range list {
		if s.Annotations[corev1.ServiceAccountNameKey] == account.Name {
			f.secretChanged(s)
		}
	}
}

func (f *Filler) next(ctx context.Context) bool {
	name, shutdown := f.queue.Get()
	if shutdown {
		return false
	}
	defer f.queue.Done(name)
	err := f.keep(ctx, name)
	if err == nil || ctx.Err() != nil {
		f.queue.Forget(name)
		return true
	}
	if f.queue.NumRequeues(name) < retries {
		f.queue.AddRateLimited(name)
		return true
	}
	f.queue.Forget(name)
	f.logger.Warn("a service account token is not kept", "secret", name.String(), "error", err)
	return true
}

// keep fills one Secret, or deletes it when its account is gone.
func (f *Filler) keep(ctx context.Context, name types.NamespacedName) error {
	secret, err := f.secrets.Secrets(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return f.forget(ctx, name)
	}
	if err != nil || secret.DeletionTimestamp != nil {
		return err
	}
	account, err := f.accountOf(ctx, secret)
	if err != nil {
		return err
	}
	if account == nil {
		err := f.client.CoreV1().Secrets(name.Namespace).Delete(ctx, name.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &secret.UID}})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		return err
	}
	if f.filled(secret, account) {
		return nil
	}
	// The truth, lest a token that somebody has read already is replaced.
	live, err := f.client.CoreV1().Secrets(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && (live.UID != secret.UID || f.filled(live, account)) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.fill(live, account); err != nil {
		return err
	}
	if _, err = f.client.CoreV1().Secrets(name.Namespace).Update(ctx, live, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// forget takes a Secret that is gone out of the lists of accounts.
func (f *Filler) forget(ctx context.Context, name types.NamespacedName) error {
	accounts, _ := f.accounts.Core().V1().ServiceAccounts().Lister().ServiceAccounts(name.Namespace).List(labels.Everything()) // from memory: does not fail
	for _, a := range accounts {
		named := func(r corev1.ObjectReference) bool { return r.Name == name.Name }
		if !slices.ContainsFunc(a.Secrets, named) {
			continue
		}
		// It may have been made again meanwhile, and the list be a newer one.
		if _, err := f.client.CoreV1().Secrets(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return err
		}
		live, err := f.client.CoreV1().ServiceAccounts(name.Namespace).Get(ctx, a.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && live.UID != a.UID {
			continue
		}
		if err != nil {
			return err
		}
		live.Secrets = slices.DeleteFunc(live.Secrets, named)
		if _, err := f.client.CoreV1().ServiceAccounts(name.Namespace).Update(ctx, live, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// accountOf is the account that secret is about, or nil when there is none.
func (f *Filler) accountOf(ctx context.Context, secret *corev1.Secret) (*corev1.ServiceAccount, error) {
	name, uid := secret.Annotations[corev1.ServiceAccountNameKey], secret.Annotations[corev1.ServiceAccountUIDKey]
	if name == "" {
		return nil, nil
	}
	meant := func(a *corev1.ServiceAccount) bool { return uid == "" || string(a.UID) == uid }
	if a, err := f.accounts.Core().V1().ServiceAccounts().Lister().ServiceAccounts(secret.Namespace).Get(name); err == nil && meant(a) {
		return a, nil
	}
	a, err := f.client.CoreV1().ServiceAccounts(secret.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && !meant(a):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return a, nil
}

func (f *Filler) filled(s *corev1.Secret, account *corev1.ServiceAccount) bool {
	return len(s.Data[corev1.ServiceAccountTokenKey]) > 0 && bytes.Equal(s.Data[corev1.ServiceAccountRootCAKey], f.ca) &&
		string(s.Data[corev1.ServiceAccountNamespaceKey]) == s.Namespace && s.Annotations[corev1.ServiceAccountUIDKey] == string(account.UID)
}

func (f *Filler) fill(s *corev1.Secret, account *corev1.ServiceAccount) error {
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	s.Data[corev1.ServiceAccountRootCAKey] = f.ca
	s.Data[corev1.ServiceAccountNamespaceKey] = []byte(s.Namespace)
	if len(s.Data[corev1.ServiceAccountTokenKey]) == 0 {
		token, err := f.issuer.ForSecret(account, s)
		if err != nil {
			return fmt.Errorf("signing the token of secret %s/%s: %w", s.Namespace, s.Name, err)
		}
		s.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	}
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, corev1.ServiceAccountNameKey, account.Name)
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, corev1.ServiceAccountUIDKey, string(account.UID))
	return nil
}
