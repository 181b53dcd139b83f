package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"

	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/plan/preview"
	"berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/why"
)

// rehearsal makes changes that the API server checks and does not store.
type rehearsal struct {
	ctx       context.Context
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	mapper    meta.RESTMapper
	namespace string
	kubectl   string
	warnings  *warnings
	// made are the namespaces that were created before, in rehearsal only.
	made map[string]bool
	// configs are the ConfigMaps that were written before, in rehearsal only.
	configs map[types.NamespacedName]*corev1.ConfigMap
}

// warnings collects what the API server warns of.
type warnings struct{ said []string }

func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if code == 299 && text != "" {
		w.said = append(w.said, text)
	}
}

func (c *connection) rehearsal(ctx context.Context, namespace string) (*rehearsal, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	t := &rehearsal{ctx: ctx, kubectl: c.kubectl(), warnings: &warnings{}, made: map[string]bool{}, configs: map[types.NamespacedName]*corev1.ConfigMap{}}
	cfg.WarningHandler = t.warnings
	if t.namespace, err = c.namespace(namespace); err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	t.client = client
	if t.dynamic, err = dynamic.NewForConfig(cfg); err != nil {
		return nil, err
	}
	t.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	return t, nil
}

// resource is where an object is to be written. The object gets its namespace.
func (t *rehearsal) resource(obj *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := obj.GroupVersionKind()
	mapping, err := t.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		obj.SetNamespace("")
		return t.dynamic.Resource(mapping.Resource), nil
	}
	if obj.GetNamespace() == "" {
		obj.SetNamespace(t.namespace)
	}
	return t.dynamic.Resource(mapping.Resource).Namespace(obj.GetNamespace()), nil
}

// applied rehearses what kubectl apply would do with an object of a file.
func (t *rehearsal) applied(obj *unstructured.Unstructured) (preview.Result, error) {
	r := preview.Result{Object: strings.ToLower(obj.GetKind()) + "/" + obj.GetName(), Change: preview.Refused}
	to, err := t.resource(obj)
	if meta.IsNoMatchError(err) {
		r.Refused = err.Error()
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.Namespace = obj.GetNamespace()
	t.warnings.said = nil
	live, err := to.Get(t.ctx, obj.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return t.created(r, to, obj)
	}
	if err != nil {
		return r, t.unlessRefused(&r, err)
	}
	patch, kind, err := threeWay(obj, live)
	if err != nil {
		return r, fmt.Errorf("%s: %w", r.Object, err)
	}
	after := live
	if string(patch) != "{}" {
		after, err = to.Patch(t.ctx, obj.GetName(), kind, patch, metav1.PatchOptions{
			DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict,
		})
		if err != nil {
			return r, t.unlessRefused(&r, err)
		}
	}
	return r, t.changed(&r, live, after)
}

func (t *rehearsal) created(r preview.Result, to dynamic.ResourceInterface, obj *unstructured.Unstructured) (preview.Result, error) {
	after, err := to.Create(t.ctx, obj, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict,
	})
	if apierrors.IsNotFound(err) && t.made[r.Namespace] {
		r.Change = preview.Create
		r.Notes = append(r.Notes, fmt.Sprintf("namespace %s does not exist yet, so the API server could not check this", r.Namespace))
		return r, nil
	}
	if err != nil {
		return r, t.unlessRefused(&r, err)
	}
	if r.Namespace == "" && obj.GetKind() == "Namespace" {
		t.made[obj.GetName()] = true
	}
	return r, t.changed(&r, nil, after)
}

// unlessRefused keeps a refusal as the result; other errors go on.
func (t *rehearsal) unlessRefused(r *preview.Result, err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code >= 500 || status.Status().Code == 401 {
		return fmt.Errorf("%s: %w", r.Object, err)
	}
	a := why.Refused(&why.Facts{Kubectl: t.kubectl, Name: r.Namespace}, r.Object, err.Error())
	r.Change, r.Refused, r.Next = preview.Refused, err.Error(), a.Next
	r.Warnings = append(t.warnings.said, a.Details...)
	return nil
}

// changed fills in what differs and, for a StatefulSet, what follows. live is
// nil for a new object.
func (t *rehearsal) changed(r *preview.Result, live, after *unstructured.Unstructured) error {
	r.Warnings = append(r.Warnings, t.warnings.said...)
	r.Change = preview.Create
	if live != nil {
		r.Fields, r.Change = preview.Fields(live.Object, after.Object), preview.Configure
		if len(r.Fields) == 0 {
			r.Change = preview.Unchanged
		}
	}
	if after.GroupVersionKind() == corev1.SchemeGroupVersion.WithKind("ConfigMap") {
		config := &corev1.ConfigMap{}
		t.configs[types.NamespacedName{Namespace: r.Namespace, Name: after.GetName()}] = config
		return runtime.DefaultUnstructuredConverter.FromUnstructured(after.Object, config)
	}
	if after.GroupVersionKind() != appsv1.SchemeGroupVersion.WithKind("StatefulSet") {
		return nil
	}
	f := preview.SetFacts{Rules: statefulset.Production, Now: time.Now(), Defaults: defaults.PodTemplateSpec}
	var err error
	if f.After, err = asSet(after); err != nil {
		return err
	}
	if live != nil {
		if f.Before, err = asSet(live); err != nil {
			return err
		}
	}
	if err := t.around(&f, r.Namespace); err != nil {
		return err
	}
	return preview.Set(f, r)
}

func asSet(obj *unstructured.Unstructured) (*appsv1.StatefulSet, error) {
	set := &appsv1.StatefulSet{}
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, set)
	return set, err
}

// around reads what a StatefulSet's preview looks at.
func (t *rehearsal) around(f *preview.SetFacts, namespace string) error {
	g := &gathering{ctx: t.ctx, facts: &why.Facts{Name: namespace, Overrides: map[string]*corev1.ConfigMap{}}}
	if name := overridesOf(f.After); name != "" {
		f.Overrides = t.configs[types.NamespacedName{Namespace: namespace, Name: name}]
		if f.Overrides == nil {
			g.overrides(t.client, name)
			f.Overrides = g.facts.Overrides[name]
		}
	}
	f.Pods = pick(g, "pods", t.client.CoreV1().Pods(namespace).List, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	f.Claims = pick(g, "persistentvolumeclaims", t.client.CoreV1().PersistentVolumeClaims(namespace).List,
		func(l *corev1.PersistentVolumeClaimList) []corev1.PersistentVolumeClaim { return l.Items })
	f.Revisions = pick(g, "controllerrevisions", t.client.AppsV1().ControllerRevisions(namespace).List,
		func(l *appsv1.ControllerRevisionList) []appsv1.ControllerRevision { return l.Items })
	f.Budgets = pick(g, "poddisruptionbudgets", t.client.PolicyV1().PodDisruptionBudgets(namespace).List,
		func(l *policyv1.PodDisruptionBudgetList) []policyv1.PodDisruptionBudget { return l.Items })
	f.Classes = pick(g, "storageclasses", t.client.StorageV1().StorageClasses().List, func(l *storagev1.StorageClassList) []storagev1.StorageClass { return l.Items })
	if len(g.facts.Unread) > 0 {
		return fmt.Errorf("the preview needs to read more: %s", strings.Join(g.facts.Unread, "; "))
	}
	return g.err
}

// edited rehearses a change of a StatefulSet by flags.
func (t *rehearsal) edited(name string, o planOptions) (preview.Result, error) {
	r := preview.Result{Object: "statefulset/" + name, Namespace: t.namespace, Change: preview.Refused}
	to := t.dynamic.Resource(appsv1.SchemeGroupVersion.WithResource("statefulsets")).Namespace(t.namespace)
	live, err := to.Get(t.ctx, name, metav1.GetOptions{})
	if err != nil {
		return r, err
	}
	patch, err := editPatch(live, o)
	if err != nil {
		return r, err
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return r, err
	}
	after, err := to.Patch(t.ctx, name, strategic, text, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager})
	if err != nil {
		return r, t.unlessRefused(&r, err)
	}
	return r, t.changed(&r, live, after)
}
