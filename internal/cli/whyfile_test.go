package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"berth.dev/berth/internal/manifest"
	"berth.dev/berth/internal/plan/why"
)

const setOfAFile = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: nginx
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: nginx
        image: good
`

// whyFiles names the lines of files: of what is refused as a change of what is
// there, and of nothing that the files bring along themselves.
func (c *cluster) whyFiles(t *testing.T) {
	c.namespace(t, "files", nil)
	c.set(t, "files", "good", 0, func(s *appsv1.StatefulSet) { s.Spec.ServiceName = "nginx" })
	folder := t.TempDir()
	for i, q := range []struct {
		text string
		code int
		want string
	}{
		{setOfAFile, 0, ""},
		{"# changed\n" + strings.Replace(setOfAFile, "serviceName: nginx", "serviceName: other", 1), 1, "6 spec.serviceName: "},
		{strings.Replace(setOfAFile, "replicas: 0", "replicas: many", 1), 1, "6 spec.replicas: "},
		{"apiVersion: v1\nkind: Namespace\nmetadata: {name: brought}\n---\n" + strings.Replace(setOfAFile, "{name: web}", "{name: web, namespace: brought}", 1), 0, ""},
		{strings.Replace(setOfAFile, "{name: web}", "{name: web, namespace: nowhere}", 1), 1, "3 metadata.namespace: "},
		{"apiVersion: example.com/v1\nkind: Boat\nmetadata: {name: a}\n", 1, "2 kind: "},
		{`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, kind: Boat}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
---
apiVersion: example.com/v1
kind: Boat
metadata: {name: a}
`, 0, ""},
	} {
		file := filepath.Join(folder, fmt.Sprint(i, ".yaml"))
		must(t, os.WriteFile(file, []byte(q.text), 0o600))
		code, out, errOut := c.run("why", "-f", file, "-n", "files", "-o", "json")
		var said struct {
			Stuck    bool
			Findings []manifest.Finding
		}
		if err := json.Unmarshal([]byte(out), &said); err != nil || code != q.code || said.Stuck != (code == 1) {
			t.Errorf("%d: exit code %d, said %q and %q (%v)", i, code, out, errOut, err)
			continue
		}
		got := ""
		for _, f := range said.Findings {
			got += fmt.Sprintf("%d %s: %s\n", f.Line, f.Field, f.Text)
		}
		if !strings.HasPrefix(got, q.want) || (q.want == "") != (got == "") {
			t.Errorf("%d: found %q, want %q", i, got, q.want)
		}
	}

	// A Service and its set wait for the same image: that is to be changed once.
	c.namespace(t, "served", nil)
	c.set(t, "served", "absent:9", 1)
	c.answer(t, "served", "sts/web", why.ImageNotThere)
	c.answer(t, "served", "svc/nginx", why.ImageNotThere)
	file := filepath.Join(folder, "served.yaml")
	must(t, os.WriteFile(file, []byte(`apiVersion: v1
kind: Service
metadata: {name: nginx}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
`+strings.NewReplacer("replicas: 0", "replicas: 1", "image: good", "image: absent:9").Replace(setOfAFile)), 0o600))
	code, out, errOut := c.run("why", "-f", file, "-n", "served")
	if code != 1 || strings.Count(out, file+":18  statefulset/web  spec.template.spec.containers[nginx].image\n") != 1 || strings.Count(out, file) != 1 {
		t.Errorf("exit code %d, said %s%s", code, out, errOut)
	}
}
