package clients

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func (c coast) north(t *testing.T) *Harbour {
	t.Helper()
	var h Harbour
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "north"}, &h))
	return &h
}

// rules are the schema's and those in CEL, each with its words.
func (c coast) rules(t *testing.T) {
	for _, change := range []struct {
		patch, want string
	}{
		{`{"spec":{"slots":-1}}`, `spec.slots: Invalid value: -1: spec.slots in body should be greater than or equal to 0`},
		{`{"spec":{"slots":"two"}}`, `spec.slots: Invalid value: "string": spec.slots in body must be of type integer: "string"`},
		{`{"spec":{"mode":"ajar"}}`, `spec.mode: Unsupported value: "ajar": supported values: "open", "closed"`},
		{`{"spec":{"mode":"closed"}}`, `spec.slots: Forbidden: a closed harbour has no slots`},
		{`{"spec":{"owner":"eve"}}`, `spec.owner: Invalid value: "eve": a harbour is not sold`},
	} {
		err := c.Patch(t.Context(), c.north(t), client.RawPatch(types.MergePatchType, []byte(change.patch)))
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: got %v, want %s", change.patch, err, change.want)
		}
	}
}

// statusApart: the object's address leaves the status alone, and the other way.
func (c coast) statusApart(t *testing.T) {
	h := c.north(t)
	h.Status.Slots, h.Labels = 77, map[string]string{"coast": "north"}
	must(t, c.Update(t.Context(), h))
	if h := c.north(t); h.Status.Slots != 3 || h.Labels["coast"] != "north" || h.Generation != 1 {
		t.Errorf("after an update: status %d, labels %v, generation %d", h.Status.Slots, h.Labels, h.Generation)
	}
	h = c.north(t)
	h.Spec.Slots, h.Status.Selector = 77, "a=b"
	must(t, c.Status().Update(t.Context(), h))
	if h := c.north(t); h.Spec.Slots != 3 || h.Generation != 1 {
		t.Errorf("after a status update: slots %d, generation %d", h.Spec.Slots, h.Generation)
	}
}

func (c coast) scales(t *testing.T) {
	c.dug(t, "north", 3)
	var scale autoscalingv1.Scale
	must(t, c.SubResource("scale").Get(t.Context(), c.north(t), &scale))
	if scale.Spec.Replicas != 3 || scale.Status.Replicas != 3 || scale.Status.Selector == "" || scale.Name != "north" {
		t.Errorf("got %+v", scale)
	}
	scale.Spec.Replicas = 5
	must(t, c.SubResource("scale").Update(t.Context(), c.north(t), client.WithSubResourceBody(&scale)))
	if h := c.dug(t, "north", 5); h.Spec.Slots != 5 || h.Generation != 2 {
		t.Errorf("scaled to %d, generation %d", h.Spec.Slots, h.Generation)
	}
	scale.ResourceVersion, scale.Spec.Replicas = "", -1
	if err := c.SubResource("scale").Update(t.Context(), c.north(t), client.WithSubResourceBody(&scale)); !apierrors.IsInvalid(err) {
		t.Errorf("scaled below zero: %v", err)
	}
}

func (c coast) columns(t *testing.T) {
	var table metav1.Table
	err := c.Cluster.Client.CoreV1().RESTClient().Get().AbsPath("/apis/port.example.org/v1/namespaces/default/harbours").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Into(&table)
	must(t, err)
	var names []string
	for _, d := range table.ColumnDefinitions {
		names = append(names, d.Name)
	}
	if diff := cmp.Diff([]string{"Name", "Slots", "Ready", "Owner", "Age"}, names); diff != "" {
		t.Error(diff)
	}
	if len(table.Rows) != 1 || !cmp.Equal(table.Rows[0].Cells[:4], []any{"north", int64(5), "True", "ada"}) {
		t.Errorf("rows %+v", table.Rows)
	}
	for owner, want := range map[string]int{"ada": 1, "eve": 0} {
		var list HarbourList
		must(t, c.List(t.Context(), &list, client.InNamespace("default"), client.MatchingFields{"spec.owner": owner}))
		if len(list.Items) != want {
			t.Errorf("%d harbours of %s", len(list.Items), owner)
		}
	}
}

// versions goes through the operator's conversion webhook both ways.
func (c coast) versions(t *testing.T) {
	old := &OldHarbour{ObjectMeta: metav1.ObjectMeta{Name: "south", Namespace: "default"}, Spec: OldHarbourSpec{Slots: "8"}}
	must(t, c.Create(t.Context(), old))
	if h := c.dug(t, "south", 8); h.Spec.Slots != 8 {
		t.Errorf("%d slots", h.Spec.Slots)
	}
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(old), old))
	if old.Spec != (OldHarbourSpec{Slots: "8", Mode: "open"}) {
		t.Errorf("read as the old version: %+v", old.Spec)
	}
	err := c.Patch(t.Context(), old, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"slots":"many"}}`)))
	if err == nil || !strings.Contains(err.Error(), `spec.slots: "many" is no number of slots`) {
		t.Errorf("what cannot be converted: %v", err)
	}
	must(t, c.Delete(t.Context(), old))
}

// repairs: what the operator owns comes back, and it leads by a lease.
func (c coast) repairs(t *testing.T) {
	var cm, again corev1.ConfigMap
	key := client.ObjectKey{Namespace: "default", Name: "north"}
	must(t, c.Get(t.Context(), key, &cm))
	must(t, c.Delete(t.Context(), &cm))
	until(t, "the config map made again", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, key, &again)
		return err == nil && again.UID != cm.UID, err
	})
	var lease coordinationv1.Lease
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "harbour-master"}, &lease))
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		t.Error("nobody holds the operator's lease")
	}
}

// ends deletes the harbour: first the operator's finalizer, then garbage collection.
func (c coast) ends(t *testing.T) {
	h := c.north(t)
	must(t, c.Delete(t.Context(), h, client.PropagationPolicy(metav1.DeletePropagationForeground)))
	until(t, "harbour and config map gone", func(ctx context.Context) (bool, error) {
		var list HarbourList
		var maps corev1.ConfigMapList
		if err := c.List(ctx, &list); err != nil {
			return false, err
		}
		err := c.List(ctx, &maps, client.InNamespace("default"))
		mine := slices.ContainsFunc(maps.Items, func(cm corev1.ConfigMap) bool { return metav1.GetControllerOf(&cm) != nil })
		return len(list.Items) == 0 && !mine, err
	})
}
