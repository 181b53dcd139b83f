package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/preview"
)

const webFile = `apiVersion: v1
kind: Service
metadata: {name: nginx}
spec: {clusterIP: None, selector: {app: web}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 3
  serviceName: nginx
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: nginx, image: "good:1"}]
`

// overridden has a ConfigMap that is not stored yet.
const overridden = `apiVersion: v1
kind: ConfigMap
metadata: {name: web-pods}
data: {"1": "metadata: {labels: {role: primary}}"}
---
`

// planned runs berth plan and returns its results.
func (c *cluster) planned(t *testing.T, code int, args ...string) []preview.Result {
	t.Helper()
	got, out, errOut := c.run(append([]string{"plan", "-o", "json"}, args...)...)
	if got != code {
		t.Fatalf("berth plan %v: exit code %d, want %d\n%s%s", args, got, code, out, errOut)
	}
	var r struct {
		Changes bool
		Objects []preview.Result
	}
	must(t, json.Unmarshal([]byte(out), &r))
	if r.Changes != (code != 0) {
		t.Errorf("changes: %v with exit code %d", r.Changes, code)
	}
	return r.Objects
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "web.yaml")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestPlan(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	_, err := c.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	must(t, err)
	until(t, "the service account", func() bool {
		_, err := c.Client.CoreV1().ServiceAccounts("shop").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	file := write(t, webFile)

	new := c.planned(t, 1, "-n", "shop", "-f", file)
	if new[0].Object != "service/nginx" || new[0].Change != preview.Create || new[1].Change != preview.Create || len(new[1].Steps) != 3 {
		t.Errorf("a new set: %+v", new)
	}
	if _, err := c.Client.AppsV1().StatefulSets("shop").Get(ctx, "web", metav1.GetOptions{}); err == nil {
		t.Fatal("berth plan made the set")
	}
	// The steps that were foreseen are those that are made.
	c.apply(t, file)
	c.settled(t, "shop", 3)
	set, err := c.Client.AppsV1().StatefulSets("shop").Get(ctx, "web", metav1.GetOptions{})
	must(t, err)
	if foreseen := new[1].Steps[2].Actions[0].Sentence; foreseen != "creating web-2 (revision "+set.Status.UpdateRevision+")" {
		t.Errorf("foreseen %q, became revision %s", foreseen, set.Status.UpdateRevision)
	}

	for _, same := range c.planned(t, 0, "-n", "shop", "-f", file) {
		if same.Change != preview.Unchanged || len(same.Fields)+len(same.Steps) > 0 {
			t.Errorf("the same file: %+v", same)
		}
	}
	if code, out, _ := c.run("plan", "-n", "shop", "-f", file); code != 0 || !strings.HasSuffix(out, "nothing to do\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	t.Run("overrides", c.overrides)
	t.Run("change", func(t *testing.T) { c.changes(t, set.Status.UpdateRevision) })
	t.Run("refused", c.refusals)
	t.Run("other kinds", c.otherKinds)
	t.Run("bad questions", c.badPlans)
}

// apply lets the real kubectl apply a file: what it leaves in annotations is part of the next plan.
func (c *cluster) apply(t *testing.T, file string) {
	t.Helper()
	must(t, kubectlApply(c.kubeconfig, "shop", file))
}

// overrides plans a set that is overridden by what the same file brings.
func (c *cluster) overrides(t *testing.T) {
	asks := strings.Replace(webFile, "metadata: {name: web}", `metadata: {name: web, annotations: {berth.dev/overrides: web-pods}}`, 1)
	without := c.planned(t, 1, "-n", "shop", "-f", write(t, asks))[1]
	if len(without.Steps) != 0 || !strings.HasSuffix(without.End, "is right: there is no ConfigMap web-pods") {
		t.Errorf("without the ConfigMap: %+v", without)
	}
	with := c.planned(t, 1, "-n", "shop", "-f", write(t, overridden+asks))[2]
	if len(with.Steps) != 2 || with.Steps[0].Actions[0].Sentence != "replacing web-1: its overrides have changed" || with.End != "3 of 3 pods available" {
		t.Errorf("with the ConfigMap: %+v", with)
	}
}

func (c *cluster) changes(t *testing.T, was string) {
	_, err := c.Client.PolicyV1().PodDisruptionBudgets("shop").Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "quorum"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.FromInt32(3)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
	}, metav1.CreateOptions{})
	must(t, err)
	byFlag := c.planned(t, 1, "-n", "shop", "sts/web", "--set-image", "nginx=good:2")[0]
	byFile := c.planned(t, 1, "-n", "shop", "-f", write(t, strings.ReplaceAll(webFile, "good:1", "good:2")))[1]
	for _, r := range []preview.Result{byFlag, byFile} {
		if len(r.Fields) != 1 || r.Fields[0] != (preview.Diff{Path: "spec.template.spec.containers[nginx].image", From: "good:1", To: "good:2"}) {
			t.Errorf("fields: %+v", r.Fields)
		}
		if len(r.Steps) != 6 || r.Steps[0].Actions[0].Object != "pod/web-2" || r.Steps[0].Actions[0].Reason != "Outdated" || r.End != "3 of 3 pods available" {
			t.Errorf("steps: %+v", r.Steps)
		}
		if len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "1 of 3 pods down at a time, below PodDisruptionBudget quorum at step 1") {
			t.Errorf("warnings: %q", r.Warnings)
		}
	}
	partition := c.planned(t, 1, "-n", "shop", "sts/web", "--set-image", "nginx=good:2", "--set-partition", "2", "--replicas", "4")[0]
	if !strings.HasSuffix(partition.End, "pods below web-2 keep their revision (partition 2)") || partition.Steps[0].Actions[0].Object != "pod/web-3" {
		t.Errorf("%+v", partition)
	}
	code, out, _ := c.run("plan", "-n", "shop", "sts/web", "--replicas", "1")
	if want := "deleting web-2: only ordinals 0 are wanted"; code != 1 || !strings.Contains(out, want) || !strings.Contains(out, "~ spec.replicas: 3 -> 1") {
		t.Errorf("exit code %d, no %q in\n%s", code, want, out)
	}
	set, err := c.Client.AppsV1().StatefulSets("shop").Get(t.Context(), "web", metav1.GetOptions{})
	must(t, err)
	if *set.Spec.Replicas != 3 || set.Status.UpdateRevision != was || set.Generation != 1 {
		t.Errorf("berth plan has changed the set: %+v", set)
	}
}

func (c *cluster) refusals(t *testing.T) {
	for _, r := range []struct{ name, file, words string }{
		{"immutable", strings.ReplaceAll(webFile, "serviceName: nginx", "serviceName: db"), "spec.serviceName"},
		{"unknown field", strings.ReplaceAll(webFile, "replicas: 3", "replicas: 3\n  replica: 3"), "unknown field"},
		{"invalid", strings.ReplaceAll(webFile, "good:1", ""), "spec.template.spec.containers[0].image: Required value"},
		{"unknown kind", "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n", "no matches for kind"},
	} {
		results := c.planned(t, 2, "-n", "shop", "-f", write(t, r.file))
		last := results[len(results)-1]
		if last.Change != preview.Refused || !strings.Contains(last.Refused, r.words) {
			t.Errorf("%s: %+v", r.name, last)
		}
		if r.name == "immutable" && !slices.Contains(last.Warnings, "spec.serviceName may not change") {
			t.Errorf("warnings: %q", last.Warnings)
		}
		if r.name == "immutable" && !strings.HasSuffix(strings.SplitN(last.Next, "   #", 2)[0], "-n shop delete statefulset web --cascade=orphan") {
			t.Errorf("next: %s", last.Next)
		}
	}
}

func (c *cluster) otherKinds(t *testing.T) {
	text := "apiVersion: v1\nkind: Namespace\nmetadata: {name: fresh}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: fresh}\n---\n" +
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {mode: fast}}\n"
	_, err := c.Client.CoreV1().ConfigMaps("shop").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"mode": "slow"}}, metav1.CreateOptions{})
	must(t, err)
	r := c.planned(t, 1, "-n", "shop", "-f", write(t, text))
	if len(r) != 3 || r[0].Change != preview.Create || r[1].Change != preview.Create || len(r[1].Notes) != 1 || r[2].Change != preview.Configure {
		t.Errorf("%+v", r)
	}
	if len(r[2].Fields) != 1 || r[2].Fields[0] != (preview.Diff{Path: "data.mode", From: "slow", To: "fast"}) {
		t.Errorf("%+v", r[2].Fields)
	}
	set := c.set(t, "shop", "good", 1, func(s *appsv1.StatefulSet) {
		s.Name = "warned"
		s.Spec.Selector.MatchLabels, s.Spec.Template.Labels = map[string]string{"app": "warned"}, map[string]string{"app": "warned"}
	})
	code, out, _ := c.run("plan", "-n", "shop", "-f", write(t, strings.NewReplacer("name: web", "name: "+set.Name, "app: web", "app: warned",
		"terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 0").Replace(webFile[strings.Index(webFile, "---"):])))
	if code != 1 || !strings.Contains(out, "  warning: ") || !strings.Contains(out, "terminationGracePeriodSeconds: 1 -> 0") {
		t.Errorf("exit code %d, no warning of the API server's in\n%s", code, out)
	}
}

func (c *cluster) badPlans(t *testing.T) {
	for _, q := range []struct {
		args []string
		want string
	}{
		{nil, "berth: say what is to change"},
		{[]string{"sts/web"}, "berth: say what is to change: --set-image"},
		{[]string{"sts/web", "-f", "x.yaml"}, "berth: give either"},
		{[]string{"-f", "/nonexistent.yaml"}, "berth: stat /nonexistent.yaml: no such file"},
		{[]string{"sts/none", "--replicas", "1"}, `berth: statefulsets.apps "none" not found`},
		{[]string{"sts/web", "-n", "shop", "--set-image", "redis=x"}, `berth: --set-image: StatefulSet web has no container "redis", but nginx`},
		{[]string{"deploy/web", "--replicas", "1"}, "berth: deployment/web: only a StatefulSet can be planned by name"},
		{[]string{"-f", write(t, "# nothing\n")}, "berth: no object in"},
		{[]string{"sts/web", "--replicas", "many"}, "berth: invalid argument"},
	} {
		if code, out, errOut := c.run(append([]string{"plan"}, q.args...)...); code != 2 || !strings.HasPrefix(errOut, q.want) || out != "" {
			t.Errorf("%v: exit code %d, said %q and %q", q.args, code, out, errOut)
		}
	}
}
