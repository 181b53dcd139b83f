package all_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/all/alltest"
)

const fleetGroup = "fleet.example.org"

// harbour is a cluster with custom kinds: ships in namespaces, fleets outside.
type harbour struct {
	*alltest.Cluster
	t      *testing.T
	ctx    context.Context
	any    dynamic.Interface
	fleets dynamic.ResourceInterface
	ships  dynamic.ResourceInterface
	maps   dynamic.ResourceInterface
}

func openHarbour(t *testing.T) *harbour {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the API server")
	}
	h := &harbour{Cluster: alltest.Start(t, alltest.Options{Without: []string{"node-lifecycle"}, Calm: true}), t: t, ctx: t.Context()}
	var err error
	h.any, err = dynamic.NewForConfig(h.Config)
	must(t, err)
	h.define("Fleet", apiextensionsv1.ClusterScoped)
	h.define("Ship", apiextensionsv1.NamespaceScoped)
	gv := schema.GroupVersion{Group: fleetGroup, Version: "v1"}
	h.fleets = h.any.Resource(gv.WithResource("fleets"))
	h.ships = h.any.Resource(gv.WithResource("ships")).Namespace("default")
	h.maps = h.any.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace("default")
	return h
}

func (h *harbour) define(kind string, scope apiextensionsv1.ResourceScope) {
	h.t.Helper()
	client, err := apiextensions.NewForConfig(h.Config)
	must(h.t, err)
	plural := strings.ToLower(kind) + "s"
	crd, err := client.ApiextensionsV1().CustomResourceDefinitions().Create(h.ctx, &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + fleetGroup},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: fleetGroup, Scope: scope,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, Plural: plural},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}},
			}},
		},
	}, metav1.CreateOptions{})
	must(h.t, err)
	h.until(kind+" to be served", func() bool {
		crd, err = client.ApiextensionsV1().CustomResourceDefinitions().Get(h.ctx, crd.Name, metav1.GetOptions{})
		must(h.t, err)
		for _, c := range crd.Status.Conditions {
			if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
				_, err := h.any.Resource(schema.GroupVersionResource{Group: fleetGroup, Version: "v1", Resource: plural}).List(h.ctx, metav1.ListOptions{})
				return err == nil
			}
		}
		return false
	})
}

// until waits for what must not need the collector's 30 seconds of patience.
func (h *harbour) until(what string, ok func() bool) {
	h.t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 15*time.Second {
			h.t.Fatalf("waited 15 seconds for %s", what)
		}
	}
}

// make creates an object that is owned, blocking, by the others.
func (h *harbour) make(in dynamic.ResourceInterface, kind, name string, owners ...*unstructured.Unstructured) *unstructured.Unstructured {
	h.t.Helper()
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(fleetGroup + "/v1")
	if kind == "ConfigMap" {
		o.SetAPIVersion("v1")
	}
	o.SetKind(kind)
	o.SetName(name)
	var refs []metav1.OwnerReference
	for _, owner := range owners {
		refs = append(refs, metav1.OwnerReference{
			APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(), BlockOwnerDeletion: ptr.To(true),
		})
	}
	o.SetOwnerReferences(refs)
	o, err := in.Create(h.ctx, o, metav1.CreateOptions{})
	must(h.t, err)
	return o
}

func (h *harbour) gone(in dynamic.ResourceInterface, name string) func() bool {
	return func() bool {
		_, err := in.Get(h.ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}
}

func (h *harbour) finalizers(in dynamic.ResourceInterface, name string, finalizers string) {
	h.t.Helper()
	_, err := in.Patch(h.ctx, name, types.MergePatchType, []byte(`{"metadata":{"finalizers":`+finalizers+`}}`), metav1.PatchOptions{})
	must(h.t, err)
}

func remove(in dynamic.ResourceInterface, ctx context.Context, name string, policy metav1.DeletionPropagation) error { //nolint:revive // reads as a sentence
	return in.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &policy})
}

// TestCustomKindsAreCollected has dependents and owners of custom kinds, in
// each of the three cascades.
func TestCustomKindsAreCollected(t *testing.T) {
	h := openHarbour(t)

	fleet := h.make(h.fleets, "Fleet", "background")
	ship := h.make(h.ships, "Ship", "background", fleet)
	h.make(h.maps, "ConfigMap", "background", ship)
	must(t, remove(h.fleets, h.ctx, "background", metav1.DeletePropagationBackground))
	h.until("the ship of a deleted fleet to go", h.gone(h.ships, "background"))
	h.until("the log of a deleted ship to go", h.gone(h.maps, "background"))

	// A built-in owner waits for a custom dependent that takes its time.
	owner := h.make(h.maps, "ConfigMap", "foreground")
	h.make(h.ships, "Ship", "foreground", owner)
	h.finalizers(h.ships, "foreground", `["example.org/mooring"]`)
	must(t, remove(h.maps, h.ctx, "foreground", metav1.DeletePropagationForeground))
	h.until("the ship to be deleted", func() bool {
		o, err := h.ships.Get(h.ctx, "foreground", metav1.GetOptions{})
		must(t, err)
		return o.GetDeletionTimestamp() != nil
	})
	if h.gone(h.maps, "foreground")() {
		t.Error("the owner did not wait for its dependent")
	}
	h.finalizers(h.ships, "foreground", "null")
	h.until("the owner to go", h.gone(h.maps, "foreground"))

	fleet = h.make(h.fleets, "Fleet", "orphan")
	h.make(h.ships, "Ship", "orphan", fleet)
	must(t, remove(h.fleets, h.ctx, "orphan", metav1.DeletePropagationOrphan))
	h.until("the fleet to go", h.gone(h.fleets, "orphan"))
	free, err := h.ships.Get(h.ctx, "orphan", metav1.GetOptions{})
	if err != nil || len(free.GetOwnerReferences()) != 0 || free.GetDeletionTimestamp() != nil {
		t.Errorf("the orphan is %+v: %v", free, err)
	}
}

// TestOwnersInOtherNamespaces has references that point out of the namespace:
// the object goes, is told why, and the true dependents of that owner stay.
func TestOwnersInOtherNamespaces(t *testing.T) {
	h := openHarbour(t)
	_, err := h.Client.CoreV1().Namespaces().Create(h.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
	must(t, err)
	owner := h.make(h.ships, "Ship", "owner")
	other := h.any.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace("other")
	h.until("the owner to be seen", func() bool { // before, nobody knows where its UID lives
		h.make(h.maps, "ConfigMap", "probe", owner)
		must(t, remove(h.maps, h.ctx, "probe", metav1.DeletePropagationBackground))
		return true
	})
	stray := h.make(other, "ConfigMap", "stray", owner)
	h.until("the stray to go", h.gone(other, "stray"))
	want := fmt.Sprintf(`ownerRef [%s/v1/Ship, namespace: other, name: owner, uid: %s] does not exist in namespace "other"`, fleetGroup, owner.GetUID())
	h.until("the event", func() bool {
		events, err := h.Client.CoreV1().Events("other").List(h.ctx, metav1.ListOptions{FieldSelector: "reason=OwnerRefInvalidNamespace"})
		must(t, err)
		if len(events.Items) == 0 {
			return false
		}
		e := events.Items[0]
		if e.Message != want || e.Type != corev1.EventTypeWarning || e.InvolvedObject.UID != stray.GetUID() || e.InvolvedObject.ResourceVersion != "" || e.Source.Component != "garbage-collector-controller" {
			t.Errorf("event %+v, want %s", e, want)
		}
		return true
	})
	h.make(h.maps, "ConfigMap", "true", owner)
	fleet := h.make(h.fleets, "Fleet", "nobody", owner) // cluster-scoped: can have no such owner
	h.until("the event about the fleet", func() bool {
		events, err := h.Client.CoreV1().Events("default").List(h.ctx, metav1.ListOptions{FieldSelector: "reason=OwnerRefInvalidNamespace"})
		must(t, err)
		return len(events.Items) == 1 && events.Items[0].InvolvedObject.UID == fleet.GetUID() && strings.HasSuffix(events.Items[0].Message, `does not exist in namespace ""`)
	})
	// What comes later was decided later.
	h.make(h.maps, "ConfigMap", "last", owner)
	must(t, remove(h.maps, h.ctx, "last", metav1.DeletePropagationForeground))
	h.until("the last to go", h.gone(h.maps, "last"))
	if h.gone(h.maps, "true")() || h.gone(h.fleets, "nobody")() {
		t.Error("a reference from elsewhere made an owner absent for its own dependents")
	}
}
