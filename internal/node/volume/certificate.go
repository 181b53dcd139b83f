package volume

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// jitter spreads renewals, as upstream does.
const jitter = 5 * time.Minute

// certificates are what pods' podCertificate sources show. When to renew them is
// in memory only: after a restart of the agent each is asked for again, as
// upstream does, and what the files show is good meanwhile.
type certificates struct {
	mu  sync.Mutex
	has map[types.UID]map[place]*credential
}

// place is a source of a pod.
type place struct {
	volume string
	index  int
}

// credential is a key with what the signer said of it. Only the Setup or refresh
// of its pod touches it, one at a time.
type credential struct {
	key, chain []byte // nil before the first is issued
	renew      time.Time
	ended      error // the signer's refusal, for good

	asked    ref // the request under way, if there is one
	askedKey []byte
}

func (c *certificates) at(uid types.UID, p place) *credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.has == nil {
		c.has = map[types.UID]map[place]*credential{}
	}
	if c.has[uid] == nil {
		c.has[uid] = map[place]*credential{}
	}
	if c.has[uid][p] == nil {
		c.has[uid][p] = &credential{}
	}
	return c.has[uid][p]
}

func (c *certificates) forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.has, uid)
}

// asked are the requests under way for a pod.
func (c *certificates) asked(uid types.UID) []ref {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []ref
	for _, one := range c.has[uid] {
		if one.asked != (ref{}) {
			out = append(out, one.asked)
		}
	}
	return out
}

// errNotIssued is upstream's word while the signer has not answered.
var errNotIssued = errors.New("credential bundle is not issued yet")

// certificate returns key and chain for a source, asks for them when there are
// none or it is time for new ones, and says when to look again.
func (v *Volumes) certificate(ctx context.Context, pod *corev1.Pod, p place, src *corev1.PodCertificateProjection, path string) (*credential, error) {
	c := v.certificates.at(pod.UID, p)
	if c.ended != nil {
		return nil, c.ended
	}
	now := v.cfg.Clock.Now()
	if c.key == nil && c.asked == (ref{}) {
		c.key, c.chain = shown(path, src, now)
	}
	if c.asked == (ref{}) && (c.key == nil || !now.Before(c.renew)) {
		if err := v.request(ctx, pod, c, src); err != nil {
			if c.key != nil {
				c.renew = now.Add(time.Minute) // what there is may be good for a while
				v.cfg.Log.Warn("a pod's certificate cannot be renewed", "pod", pod.Namespace+"/"+pod.Name, "error", err)
				return c, nil
			}
			return nil, err
		}
	}
	if c.asked != (ref{}) {
		v.answer(ctx, c)
	}
	switch {
	case c.ended != nil:
		return nil, c.ended
	case c.key == nil:
		return nil, errNotIssued
	}
	return c, nil
}

// request makes a key and asks the signer for its certificate.
func (v *Volumes) request(ctx context.Context, pod *corev1.Pod, c *credential, src *corev1.PodCertificateProjection) error {
	node := v.cfg.Node()
	if node == nil {
		return errors.New("while getting node object from local cache: the node is not registered yet")
	}
	account, err := v.cfg.Client.CoreV1().ServiceAccounts(pod.Namespace).Get(ctx, pod.Spec.ServiceAccountName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("while fetching service account: %w", err)
	}
	key, stub, err := newKey(src.KeyType)
	if err != nil {
		return fmt.Errorf("while generating keypair: %w", err)
	}
	made, err := v.cfg.Client.CertificatesV1().PodCertificateRequests(pod.Namespace).Create(ctx, &certificatesv1.PodCertificateRequest{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, GenerateName: "req-",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
		},
		Spec: certificatesv1.PodCertificateRequestSpec{
			SignerName: src.SignerName, PodName: pod.Name, PodUID: pod.UID,
			ServiceAccountName: account.Name, ServiceAccountUID: account.UID,
			NodeName: types.NodeName(node.Name), NodeUID: node.UID, MaxExpirationSeconds: src.MaxExpirationSeconds,
			StubPKCS10Request: stub, UnverifiedUserAnnotations: src.UserAnnotations,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("while creating initial PodCertificateRequest: while creating on API: %w", err)
	}
	c.asked, c.askedKey = ref{certificate, made.Namespace, made.Name}, key
	v.follows.also(v.life, pod.UID, c.asked)
	return nil
}

// answer takes in what the signer has said; for the first certificate it waits a moment.
func (v *Volumes) answer(ctx context.Context, c *credential) {
	patience := time.Duration(0)
	if c.key == nil {
		patience = v.cfg.missingWait
	}
	found, err := v.follows.await(ctx, c.asked, patience, func(o *object) bool { return len(o.request.Conditions) > 0 })
	if apierrors.IsNotFound(err) {
		c.asked, c.askedKey = ref{}, nil // somebody has deleted it: another one is made next time
		v.cfg.Log.Warn("a PodCertificateRequest appears to have been deleted", "error", err)
		c.renew = v.cfg.Clock.Now().Add(time.Second)
		return
	}
	if err != nil || found == nil || found.request == nil {
		return
	}
	for _, said := range found.request.Conditions {
		switch said.Type {
		case certificatesv1.PodCertificateRequestConditionTypeDenied:
			c.ended = fmt.Errorf("PodCertificateRequest was permanently denied: reason=%q message=%q", said.Reason, said.Message)
		case certificatesv1.PodCertificateRequestConditionTypeFailed:
			c.ended = fmt.Errorf("PodCertificateRequest was permanently failed: reason=%q message=%q", said.Reason, said.Message)
		case certificatesv1.PodCertificateRequestConditionTypeIssued:
			c.key, c.chain = c.askedKey, cleanChain([]byte(found.request.CertificateChain))
			c.renew = v.cfg.Clock.Now().Add(24 * time.Hour)
			if at := found.request.BeginRefreshAt; at != nil {
				c.renew = at.Add(rand.N(jitter)) //nolint:gosec // no secret
			}
		default:
			continue
		}
		c.asked, c.askedKey = ref{}, nil
		return
	}
}
