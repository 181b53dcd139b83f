// Package certificate approves what nodes ask for themselves, signs approved
// CertificateSigningRequests with the cluster's authority and deletes old ones.
package certificate

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/certificate"
)

// User is the identity of the loop, upstream's.
const User = "system:serviceaccount:kube-system:certificate-controller"

// DefaultLife is how long a certificate lasts unless the configuration or the
// request says otherwise.
const DefaultLife = 365 * 24 * time.Hour

// An access review that said no is asked again: rights are no part of the
// request, and no event tells of them.
const (
	firstAgain = time.Second
	lastAgain  = 15 * time.Minute
)

// Authority signs.
type Authority interface {
	// NotAfter is the authority's own end.
	NotAfter() time.Time
	// Sign makes the certificate of a template, with a new serial number.
	Sign(template *x509.Certificate) (der []byte, err error)
}

// Config is what the loop needs beyond the API.
type Config struct {
	Authority Authority
	// Longest is the longest life of a certificate; 0 is DefaultLife.
	Longest time.Duration
	// Taken are names and addresses that no node may serve as.
	Taken plan.Taken
}

// Loop declares the loop.
func Loop(config Config) loop.Loop {
	if config.Longest == 0 {
		config.Longest = DefaultLife
	}
	return loop.Loop{
		Name: "certificate", User: User,
		Watches: []loop.Watch{
			{Kind: &certificatesv1.CertificateSigningRequest{}, Map: onRequest},
			{Kind: &corev1.Node{}, Map: onNode},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &controller{env: env, config: config} },
	}
}

func onRequest(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.New)}}
}

// onNode wakes the requests of a node that says its addresses.
func onNode(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	node := ev.New.(*corev1.Node)
	if old, ok := ev.Old.(*corev1.Node); ok && equality.Semantic.DeepEqual(old.Status.Addresses, node.Status.Addresses) {
		return nil
	}
	all := &certificatesv1.CertificateSigningRequestList{}
	if err := read.List(ctx, all); err != nil {
		return nil
	}
	var wake []reconcile.Request
	for i := range all.Items {
		csr := &all.Items[i]
		if csr.Spec.SignerName == certificatesv1.KubeletServingSignerName && csr.Spec.Username == plan.NodePrefix+node.Name && len(csr.Status.Conditions) == 0 {
			wake = append(wake, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(csr)})
		}
	}
	return wake
}

type controller struct {
	env    loop.Env
	config Config
}

// Reconcile does what one request needs next.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	csr := &certificatesv1.CertificateSigningRequest{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, csr); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	now := c.env.Clock.Now()
	p, err := plan.Decide(csr, c.authority(now), now)
	if err != nil && p.End.IsZero() {
		return reconcile.Result{}, err
	}
	var again time.Duration
	if !p.End.IsZero() {
		again = max(p.End.Sub(now), 0) + time.Millisecond // it is deleted after its end, not at it
	}
	csr = csr.DeepCopy()
	switch {
	case err != nil:
	case p.Delete:
		again, err = 0, client.IgnoreNotFound(c.env.Write.Delete(ctx, csr, client.Preconditions{UID: &csr.UID, ResourceVersion: &csr.ResourceVersion}))
	case p.Fail != "":
		csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue,
			Reason: "SignerValidationFailure", Message: p.Fail, LastUpdateTime: metav1.NewTime(now),
		})
		err = c.env.Write.Status().Update(ctx, csr)
	case p.Sign != nil:
		err = c.sign(ctx, csr, p.Sign)
	case p.Serving != nil:
		err = c.serving(ctx, csr, p.Serving)
	case len(p.Reviews) > 0:
		var approved bool
		if approved, err = c.review(ctx, csr, p.Reviews); err == nil && !approved {
			again = loop.Sooner(again, min(max(now.Sub(csr.CreationTimestamp.Time), firstAgain), lastAgain))
		}
	}
	if err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("certificate signing request %s: %w", csr.Name, err))
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

func (c *controller) authority(now time.Time) plan.Authority {
	if c.config.Authority == nil { // the simulator's cluster has none
		return plan.Authority{Longest: c.config.Longest, NotAfter: now.Add(c.config.Longest)}
	}
	return plan.Authority{Longest: c.config.Longest, NotAfter: c.config.Authority.NotAfter()}
}

func (c *controller) sign(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, template *x509.Certificate) error {
	if c.config.Authority == nil {
		return errors.New("error auto signing csr: this cluster has no authority")
	}
	der, err := c.config.Authority.Sign(template)
	if err != nil {
		return fmt.Errorf("error auto signing csr: %w", err)
	}
	csr.Status.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := c.env.Write.Status().Update(ctx, csr); err != nil {
		return fmt.Errorf("error updating signature for csr: %w", err)
	}
	return nil
}

// review asks whether the requestor may have the certificate, and approves.
func (c *controller) review(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, reviews []plan.Review) (bool, error) {
	for _, r := range reviews {
		extra := map[string]authorizationv1.ExtraValue{}
		for k, v := range csr.Spec.Extra {
			extra[k] = authorizationv1.ExtraValue(v)
		}
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: csr.Spec.Username, UID: csr.Spec.UID, Groups: csr.Spec.Groups, Extra: extra,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: "certificates.k8s.io", Resource: "certificatesigningrequests", Verb: "create", Subresource: r.Subresource, Version: "*",
			},
		}}
		if err := c.env.Write.Create(ctx, review); err != nil {
			return false, err
		}
		if review.Status.Allowed {
			return true, c.approve(ctx, csr, r.Message)
		}
	}
	return false, nil
}

// serving approves a node's serving certificate if it is for that node only.
func (c *controller) serving(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, req *x509.CertificateRequest) error {
	nodes := &corev1.NodeList{}
	if err := c.env.Cache.List(ctx, nodes); err != nil {
		return err
	}
	if plan.ServesOnlyItself(csr, req, nodes.Items, c.config.Taken) != nil {
		return nil // a person decides, or the node says more of itself
	}
	return c.approve(ctx, csr, plan.ServingMessage)
}

func (c *controller) approve(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, message string) error {
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "AutoApproved", Message: message,
	})
	if err := c.env.Write.SubResource("approval").Update(ctx, csr); err != nil {
		return fmt.Errorf("error updating approval for csr: %w", err)
	}
	return nil
}
