package behaviour

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	serveroptions "k8s.io/apiserver/pkg/server/options"

	"berth.dev/berth/internal/apiserver"
)

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:apiserver]
- level: Metadata
  resources: [{group: "", resources: [secrets]}]
- level: RequestResponse
  resources: [{group: "", resources: [configmaps]}, {group: apiextensions.k8s.io}]
- level: None
`

func auditOptions(t *testing.T) *serveroptions.AuditOptions {
	t.Helper()
	o := serveroptions.NewAuditOptions()
	o.PolicyFile = filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(o.PolicyFile, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAuditLog(t *testing.T) {
	o := auditOptions(t)
	o.LogOptions.Path = filepath.Join(t.TempDir(), "audit.log")
	o.LogOptions.BatchOptions.Mode = serveroptions.ModeBlocking
	w := start(t, func(c *apiserver.Config) { c.Audit = o })
	a := w.do(http.MethodPost, maps, `{"metadata":{"name":"m"},"data":{"k":"seen"}}`, "User-Agent: tester")
	if a.header.Get("Audit-Id") == "" {
		t.Error("no Audit-Id header")
	}
	w.must(http.MethodPost, secrets, `{"metadata":{"name":"s"},"stringData":{"k":"open sesame"}}`)
	w.must(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets)
	w.get("/version")
	f, err := os.Open(o.LogOptions.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string]auditv1.Event{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e auditv1.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		if e.User.Username != "admin" {
			continue
		}
		if e.ObjectRef == nil {
			t.Fatalf("the policy wants none of %s", e.RequestURI)
		}
		if e.Verb == "create" {
			if _, twice := seen[e.ObjectRef.Resource]; twice {
				t.Errorf("%s twice", e.RequestURI)
			}
			seen[e.ObjectRef.Resource] = e
		}
		if strings.Contains(lines.Text(), "sesame") {
			t.Error("a secret is in the log")
		}
	}
	m := seen["configmaps"]
	if string(m.AuditID) != a.header.Get("Audit-Id") || m.Level != auditv1.LevelRequestResponse || m.Stage != auditv1.StageResponseComplete || m.User.Username != "admin" || m.UserAgent != "tester" ||
		m.ObjectRef.Name != "m" || m.ResponseStatus.Code != 201 || !strings.Contains(string(m.RequestObject.Raw), "seen") || !strings.Contains(string(m.ResponseObject.Raw), `"uid"`) || len(m.SourceIPs) != 1 {
		t.Errorf("config map: %+v", m)
	}
	if s := seen["secrets"]; s.Level != auditv1.LevelMetadata || s.RequestObject != nil {
		t.Errorf("secret: %+v", s)
	}
	if d := seen["customresourcedefinitions"]; d.ResponseStatus == nil || d.ResponseStatus.Code != 201 {
		t.Errorf("definition: %+v", d)
	}
}

func TestAuditWebhook(t *testing.T) {
	got := make(chan auditv1.EventList, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var list auditv1.EventList
		if err := json.NewDecoder(req.Body).Decode(&list); err != nil {
			t.Error(err)
		}
		got <- list
	}))
	t.Cleanup(hook.Close)
	o := auditOptions(t)
	o.WebhookOptions.ConfigFile = filepath.Join(t.TempDir(), "hook.kubeconfig")
	o.WebhookOptions.BatchOptions.BatchConfig.MaxBatchWait = 50 * time.Millisecond
	kubeconfig := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\nclusters: [{name: c, cluster: {server: " + hook.URL + "}}]\n"
	if err := os.WriteFile(o.WebhookOptions.ConfigFile, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, func(c *apiserver.Config) { c.Audit = o })
	w.makeMap("m")
	for {
		select {
		case list := <-got:
			for _, e := range list.Items {
				if e.ObjectRef.Name == "m" && e.Verb == "create" {
					return
				}
			}
		case <-time.After(time.Minute):
			t.Fatal("the webhook has not heard of it")
		}
	}
}

func TestBadAuditPolicy(t *testing.T) {
	w := start(t)
	o := serveroptions.NewAuditOptions()
	o.PolicyFile = "/nowhere/policy.yaml"
	_, err := apiserver.New(apiserver.Config{Datastore: w.Store, ServiceCIDRs: w.serviceCIDRs(), Audit: o, BindAddress: "127.0.0.1"})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/policy.yaml") {
		t.Errorf("got %v", err)
	}
}
