package clients

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/conversion"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/pki"
)

const cleanup = "port.example.org/cleanup"

// operator keeps a config map for each Harbour and tells of it in its status.
type operator struct{ client.Client }

func (o operator) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var h Harbour
	if err := o.Get(ctx, req.NamespacedName, &h); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if h.DeletionTimestamp != nil {
		if controllerutil.RemoveFinalizer(&h, cleanup) {
			return ctrl.Result{}, o.Update(ctx, &h)
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(&h, cleanup) {
		if err := o.Update(ctx, &h); err != nil {
			return ctrl.Result{}, err
		}
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: h.Name, Namespace: h.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, o.Client, cm, func() error {
		cm.Data = map[string]string{"slots": strconv.Itoa(int(h.Spec.Slots))}
		return controllerutil.SetControllerReference(&h, cm, o.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	h.Status.Slots, h.Status.Selector, h.Status.ObservedGeneration = h.Spec.Slots, "harbour="+h.Name, h.Generation
	meta.SetStatusCondition(&h.Status.Conditions, metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "Dug", ObservedGeneration: h.Generation,
	})
	return ctrl.Result{}, o.Status().Update(ctx, &h)
}

// coast is a cluster with a running operator.
type coast struct {
	*alltest.Cluster
	client.Client
}

func newCoast(t *testing.T) coast {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(scheme))
	must(t, apiextensionsv1.AddToScheme(scheme))
	addHarbours(scheme)
	c := coast{Cluster: alltest.Start(t, alltest.Options{})}
	text, err := c.Kubeconfig().Encode()
	must(t, err)
	config, err := clientcmd.RESTConfigFromKubeConfig(text)
	must(t, err)
	c.Client, err = client.New(config, client.Options{Scheme: scheme})
	must(t, err)

	certs, address := t.TempDir(), c.define(t)
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "harbour-master", LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: address.port, CertDir: address.write(t, certs)}),
	})
	must(t, err)
	must(t, ctrl.NewControllerManagedBy(manager).For(&Harbour{}).Owns(&corev1.ConfigMap{}).Complete(operator{manager.GetClient()}))
	manager.GetWebhookServer().Register("/convert", conversion.NewWebhookHandler(scheme, conversion.NewRegistry()))
	alltest.Run(t, manager.Start)
	return c
}

// hook is where the conversion webhook listens, and as whom.
type hook struct {
	port int
	pair pki.Pair
}

func (h hook) write(t *testing.T, dir string) string {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, "tls.crt"), h.pair.CertPEM, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "tls.key"), h.pair.KeyPEM, 0o600))
	return dir
}

// define creates the custom kind. Its webhook has an authority of its own.
func (c coast) define(t *testing.T) hook {
	t.Helper()
	other, err := pki.Ensure(filepath.Join(t.TempDir(), "other"), pki.Options{NodeName: "webhook"})
	must(t, err)
	pair, err := other.CA.Issue(pki.Subject{CommonName: "webhook", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	text, err := os.ReadFile("testdata/harbours.yaml")
	must(t, err)
	var crd apiextensionsv1.CustomResourceDefinition
	must(t, yaml.UnmarshalStrict(text, &crd))
	url := "https://127.0.0.1:" + strconv.Itoa(port) + "/convert"
	crd.Spec.Conversion.Webhook.ClientConfig = &apiextensionsv1.WebhookClientConfig{URL: &url, CABundle: other.CA.CertPEM}
	must(t, c.Create(t.Context(), &crd))
	until(t, "the custom kind in discovery", func(ctx context.Context) (bool, error) { // which follows the condition Established
		err := c.List(ctx, &HarbourList{})
		return err == nil, err
	})
	return hook{port, pair}
}

// dug waits for what the operator does for a harbour of that many slots.
func (c coast) dug(t *testing.T, name string, slots int32) *Harbour {
	t.Helper()
	var h Harbour
	until(t, name+" dug", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKey{Namespace: "default", Name: name}, &h)
		return err == nil && h.Status.Slots == slots && h.Status.ObservedGeneration == h.Generation && meta.IsStatusConditionTrue(h.Status.Conditions, "Ready"), err
	})
	var cm corev1.ConfigMap
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(&h), &cm))
	if owner := metav1.GetControllerOf(&cm); cm.Data["slots"] != strconv.Itoa(int(slots)) || owner == nil || owner.UID != h.UID {
		t.Errorf("config map %v of %v", cm.Data, owner)
	}
	return &h
}

func harbour(name string, slots int32) *Harbour {
	return &Harbour{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: HarbourSpec{Slots: slots, Owner: "ada"}}
}

func TestOperator(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	c := newCoast(t)
	ctx := t.Context()
	begun := time.Now()
	must(t, c.Create(ctx, harbour("north", 3)))
	if h := c.dug(t, "north", 3); h.Spec.Mode != "open" || h.Generation != 1 || !controllerutil.ContainsFinalizer(h, cleanup) {
		t.Errorf("got mode %q, generation %d, finalizers %v", h.Spec.Mode, h.Generation, h.Finalizers)
	}
	t.Logf("kept after %s", time.Since(begun))
	t.Run("rules", c.rules)
	t.Run("status", c.statusApart)
	t.Run("scale", c.scales)
	t.Run("columns", c.columns)
	t.Run("versions", c.versions)
	t.Run("repair", c.repairs)
	t.Run("end", c.ends)
}
