package admission_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	serveroptions "k8s.io/apiserver/pkg/server/options"

	"berth.dev/berth/internal/apiserver"
)

const enforcing = `{apiVersion: v1, kind: Namespace, metadata: {name: NAME, labels: {pod-security.kubernetes.io/LABEL}}}`

func (s *server) securedNamespace(name, labels string) {
	s.t.Helper()
	s.apply(strings.NewReplacer("NAME", name, "LABEL", labels).Replace(enforcing))
	s.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: " + name + "}}")
}

func in(namespace, object string) string {
	return strings.Replace(object, "metadata: {name:", "metadata: {namespace: "+namespace+", name:", 1)
}

const (
	privileged = `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {hostNetwork: true, automountServiceAccountToken: false, containers: [
		{name: c, image: demo, securityContext: {privileged: true}}]}}`
	restricted = `{apiVersion: v1, kind: Pod, metadata: {name: r}, spec: {automountServiceAccountToken: false, containers: [{name: c, image: demo, securityContext: {
		allowPrivilegeEscalation: false, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL]}}}]}}`
	deploymentOfPlainPods = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {selector: {matchLabels: {a: b}}, template: {
		metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: demo}]}}}}`
	notRestricted = `allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), ` +
		`unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), ` +
		`runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), ` +
		`seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")`
)

func TestPodSecurity(t *testing.T) {
	s := start(t)
	s.apply(privileged) // a namespace without labels lets everything pass
	if w := s.warnings.take(); len(w) > 0 {
		t.Errorf("warnings without a label: %q", w)
	}

	s.securedNamespace("baseline", "enforce: baseline")
	_, err := s.create(in("baseline", privileged))
	refused(t, err, `pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true), privileged (container "c" must not set securityContext.privileged=true)`)
	s.apply(in("baseline", podNamed("plain")))

	s.securedNamespace("strict", "enforce: restricted, pod-security.kubernetes.io/enforce-version: v1.30, pod-security.kubernetes.io/warn: restricted")
	_, err = s.create(in("strict", podNamed("plain")))
	refused(t, err, `pods "plain" is forbidden: violates PodSecurity "restricted:v1.30": `+notRestricted)
	s.apply(in("strict", restricted))
	s.warnings.take()
	// What makes pods is let through, with a warning.
	s.apply(in("strict", deploymentOfPlainPods))
	if w := s.warnings.take(); len(w) != 1 || w[0] != `would violate PodSecurity "restricted:latest": `+notRestricted {
		t.Errorf("warnings of the deployment: %q", w)
	}
}

func TestPodSecurityWarnsOnly(t *testing.T) {
	s := start(t)
	s.securedNamespace("warned", "warn: restricted")
	s.warnings.take()
	s.apply(in("warned", podNamed("plain")))
	if w := s.warnings.take(); len(w) != 1 || w[0] != `would violate PodSecurity "restricted:latest": `+notRestricted {
		t.Errorf("warnings: %q", w)
	}
	s.apply(in("warned", restricted))
	if w := s.warnings.take(); len(w) != 0 {
		t.Errorf("warnings of a restricted pod: %q", w)
	}
}

func TestPodSecurityOfNamespaces(t *testing.T) {
	s := start(t)
	_, err := s.create(strings.NewReplacer("NAME", "bad", "LABEL", "enforce: lax").Replace(enforcing))
	if !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	refused(t, err, `Namespace "bad" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "lax": must be one of privileged, baseline, restricted`)

	s.securedNamespace("full", "warn: privileged")
	s.apply(in("full", privileged))
	s.apply(in("full", strings.Replace(privileged, "name: p}", "name: a}", 1)))
	s.apply(in("full", podNamed("plain")))
	s.warnings.take()
	label := func(level string) {
		t.Helper()
		namespace := parse(t, `{apiVersion: v1, kind: Namespace, metadata: {name: full}}`)
		patch := `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"` + level + `"}}}`
		if _, err := s.resource(namespace, s.Config).Patch(t.Context(), "full", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	label("baseline")
	want := []string{
		`existing pods in namespace "full" violate the new PodSecurity enforce level "baseline:latest"`,
		`a (and 1 other pod): host namespaces, privileged`,
	}
	if w := s.warnings.take(); strings.Join(w, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", w, want)
	}
	label("privileged")
	if w := s.warnings.take(); len(w) > 0 {
		t.Errorf("warnings for a laxer level: %q", w)
	}
}

func TestPodSecurityInTheAuditLog(t *testing.T) {
	o := serveroptions.NewAuditOptions()
	o.PolicyFile = filepath.Join(t.TempDir(), "policy.yaml")
	policy := "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- {level: Metadata, verbs: [create], resources: [{group: \"\", resources: [pods]}]}\n"
	if err := os.WriteFile(o.PolicyFile, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	o.LogOptions.Path = filepath.Join(t.TempDir(), "audit.log")
	o.LogOptions.BatchOptions.Mode = serveroptions.ModeBlocking
	s := start(t, func(c *apiserver.Config) { c.Audit = o })
	s.securedNamespace("audited", "enforce: baseline, pod-security.kubernetes.io/audit: restricted")
	s.apply(in("audited", podNamed("plain")))
	text, err := os.ReadFile(o.LogOptions.Path)
	if err != nil {
		t.Fatal(err)
	}
	event := auditv1.Event{}
	if err := json.Unmarshal([]byte(strings.SplitN(string(text), "\n", 2)[0]), &event); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for key, want := range map[string]string{
		"pod-security.kubernetes.io/enforce-policy":   "baseline:latest",
		"pod-security.kubernetes.io/audit-violations": `would violate PodSecurity "restricted:latest": ` + notRestricted,
	} {
		if got := event.Annotations[key]; got != want {
			t.Errorf("annotation %s: got %q, want %q", key, got, want)
		}
	}
}
