package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"berth.dev/berth/internal/manifest"
	"berth.dev/berth/internal/plan/why"
)

// whyOutput is what `berth why -f FILE -o json` prints.
type whyOutput struct {
	// Stuck: something in the files is to be changed.
	Stuck    bool               `json:"stuck"`
	Findings []manifest.Finding `json:"findings"`
}

// whyFiles names the lines of files that are to be changed.
func (c *connection) whyFiles(ctx context.Context, s streams, names []string, namespace, output string) (int, error) {
	q := &questioned{lines: map[string][]string{}, facts: map[string]*why.Facts{}}
	documents, err := q.read(s.in, names)
	if err != nil {
		return 0, err
	}
	if q.t, err = c.rehearsal(ctx, namespace); err != nil {
		return 0, err
	}
	q.c = c
	q.findings = append(q.findings, manifest.Twice(documents, q.t.namespace)...)
	var accepted []*manifest.Document
	for _, d := range documents {
		refused, err := q.refused(d, documents)
		if err != nil {
			return 0, err
		}
		if q.findings = append(q.findings, refused...); len(refused) == 0 {
			accepted = append(accepted, d)
		}
	}
	for _, d := range accepted {
		if err := q.waits(d, documents); err != nil {
			return 0, err
		}
	}
	return q.print(s, output)
}

// questioned are the files that are asked about.
type questioned struct {
	c        *connection
	t        *rehearsal
	lines    map[string][]string // of each file
	facts    map[string]*why.Facts
	findings []manifest.Finding
}

func (q *questioned) read(in io.Reader, names []string) ([]*manifest.Document, error) {
	var all []*manifest.Document
	for _, name := range names {
		files, err := expand(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := readText(in, file)
			if err != nil {
				return nil, err
			}
			q.lines[file] = strings.Split(string(text), "\n")
			documents, findings := manifest.Read(file, text)
			all, q.findings = append(all, documents...), append(q.findings, findings...)
		}
	}
	if len(all)+len(q.findings) == 0 {
		return nil, fmt.Errorf("no object in %v", names)
	}
	return all, nil
}

func readText(in io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

// refused asks the API server whether it takes an object: as a new one, or else
// as a change of the one that is there. What needs a kind or a namespace that the
// files bring along cannot be asked before that is there.
func (q *questioned) refused(d *manifest.Document, all []*manifest.Document) ([]manifest.Finding, error) {
	obj := d.Object.DeepCopy()
	to, err := q.t.resource(obj)
	if meta.IsNoMatchError(err) {
		if brought(all, "CustomResourceDefinition", func(o *unstructured.Unstructured) bool {
			kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
			return kind == obj.GetKind()
		}) {
			return nil, nil
		}
		return []manifest.Finding{d.At("kind", err.Error())}, nil
	}
	if err != nil {
		return nil, err
	}
	var live *unstructured.Unstructured
	if obj.GetName() != "" {
		if live, err = to.Get(q.t.ctx, obj.GetName(), metav1.GetOptions{}); apierrors.IsNotFound(err) {
			live = nil
		} else if err != nil {
			return nil, err
		}
	}
	_, err = to.Create(q.t.ctx, obj, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict,
	})
	if live != nil && !apierrors.IsBadRequest(err) {
		patch, kind, problem := threeWay(obj, live)
		if problem != nil {
			return nil, fmt.Errorf("%s: %w", d.Name(), problem)
		}
		_, err = to.Patch(q.t.ctx, obj.GetName(), kind, patch, metav1.PatchOptions{
			DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict,
		})
	}
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil, nil
	case apierrors.IsNotFound(err) && brought(all, "Namespace", func(o *unstructured.Unstructured) bool { return o.GetName() == obj.GetNamespace() }):
		return nil, nil
	case !errors.As(err, &status) || status.Status().Code >= 500 || status.Status().Code == 401:
		return nil, fmt.Errorf("%s: %w", d.Name(), err)
	}
	var sample any
	if known, err := scheme.Scheme.New(obj.GroupVersionKind()); err == nil {
		sample = known
	}
	return d.Refused(status.Status(), sample), nil
}

// brought tells whether the files have such an object.
func brought(all []*manifest.Document, kind string, is func(*unstructured.Unstructured) bool) bool {
	return slices.ContainsFunc(all, func(d *manifest.Document) bool { return d.Object.GetKind() == kind && is(d.Object) })
}

// waits says what keeps an object of a file from going on, or would.
func (q *questioned) waits(d *manifest.Document, all []*manifest.Document) error {
	kind := why.Kind(d.Object.GetKind())
	if kind == "" || d.Object.GetName() == "" {
		return nil
	}
	namespace := d.Object.GetNamespace()
	if namespace == "" {
		namespace = q.t.namespace
	}
	f, err := q.around(namespace, all)
	if err != nil || f == nil {
		return err
	}
	report, err := why.Ask(f, kind, d.Object.GetName())
	if err != nil { // there is none yet
		report = why.Report{}
		if kind == "statefulset" {
			set := &appsv1.StatefulSet{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(d.Object.Object, set); err != nil {
				return fmt.Errorf("%s: %w", d.Name(), err)
			}
			report.Answers = why.Foresee(f, set)
		}
	}
	for _, a := range report.Answers {
		if a.Passes == why.Yes || a.Follows || a.Reason == why.ServiceSelectsNone && kind == "service" && served(d, all) {
			continue
		}
		// A Service and its set have the same thing to say.
		if f := q.place(d, all, a); !slices.Contains(q.findings, f) {
			q.findings = append(q.findings, f)
		}
	}
	return nil
}

// served tells whether a Service is one for pods of the same files: that they are
// not there yet is nothing to change, and a set says itself that its Service is
// not for its pods.
func served(service *manifest.Document, all []*manifest.Document) bool {
	selector, _, _ := unstructured.NestedStringMap(service.Object.Object, "spec", "selector")
	for _, d := range all {
		named, _, _ := unstructured.NestedString(d.Object.Object, "spec", "serviceName")
		of, found, _ := unstructured.NestedStringMap(d.Object.Object, "spec", "template", "metadata", "labels")
		if d.Object.GetKind() == "Pod" {
			of, found = d.Object.GetLabels(), true
		}
		if named == service.Object.GetName() || found && labels.SelectorFromSet(selector).Matches(labels.Set(of)) {
			return true
		}
	}
	return false
}

// place is where an answer's field is written: in the object that it names if a
// file has that, else in the object that was asked about.
func (q *questioned) place(d *manifest.Document, all []*manifest.Document, a why.Answer) manifest.Finding {
	f := d.At("", a.Sentence)
	if a.Change != nil {
		for _, other := range all {
			if other.Name() == a.Change.Object {
				f = other.At(a.Change.Field, a.Sentence)
			}
		}
	}
	if a.Next != "" {
		f.Hint = "next: " + a.Next
	}
	return f
}

// around are the facts of a namespace, with the Services, classes and volumes
// that files bring along. There are none when the namespace does not exist yet.
func (q *questioned) around(namespace string, all []*manifest.Document) (*why.Facts, error) {
	if f, known := q.facts[namespace]; known {
		return f, nil
	}
	cfg, err := q.c.config()
	if err != nil {
		return nil, err
	}
	_, err = q.t.client.CoreV1().Namespaces().Get(q.t.ctx, namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		q.facts[namespace] = nil
		return nil, nil
	}
	f := &why.Facts{Kubectl: q.c.kubectl(), Name: namespace, Now: time.Now()}
	if err := gather(q.t.ctx, cfg, f); err != nil {
		return nil, err
	}
	for _, d := range all {
		switch d.Object.GetKind() {
		case "Service":
			if ns := d.Object.GetNamespace(); ns == namespace || ns == "" && namespace == q.t.namespace {
				f.Services = add(f.Services, d, &corev1.Service{})
			}
		case "StorageClass":
			f.Classes = add(f.Classes, d, &storagev1.StorageClass{})
		case "PersistentVolume":
			f.Volumes = add(f.Volumes, d, &corev1.PersistentVolume{})
		}
	}
	q.facts[namespace] = f
	return f, nil
}

// add appends a file's object unless the cluster has it, or it cannot be read.
func add[T metav1.Object](known []T, d *manifest.Document, into T) []T {
	for _, o := range known {
		if o.GetName() == d.Object.GetName() {
			return known
		}
	}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(d.Object.Object, into) != nil {
		return known
	}
	return append(known, into)
}

func (q *questioned) print(s streams, output string) (int, error) {
	code := 0
	if len(q.findings) > 0 {
		code = 1
	}
	if output == "json" {
		return code, printJSON(s, whyOutput{Stuck: code == 1, Findings: append([]manifest.Finding{}, q.findings...)})
	}
	for i, f := range q.findings {
		if i > 0 {
			fmt.Fprintln(s.out)
		}
		fmt.Fprintf(s.out, "%s:%d", f.File, f.Line)
		for _, part := range []string{f.Object, f.Field} {
			if part != "" {
				fmt.Fprintf(s.out, "  %s", part)
			}
		}
		fmt.Fprintln(s.out)
		if lines := q.lines[f.File]; f.Line >= 1 && f.Line <= len(lines) {
			fmt.Fprintf(s.out, "  | %s\n", strings.TrimRight(lines[f.Line-1], " \r"))
		}
		fmt.Fprintf(s.out, "  %s\n", f.Text)
		if f.Hint != "" {
			fmt.Fprintf(s.out, "  %s\n", f.Hint)
		}
	}
	if len(q.findings) == 0 {
		fmt.Fprintln(s.out, "nothing is to be changed")
	}
	return code, nil
}
