package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// web has two documents, so that lines are those of the file.
const web = `# A comment.
apiVersion: v1
kind: Service
metadata:
  name: web
--- # the set
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: web
  lables:
    app: web
spec:
  nameService: web
  selector:
    app: web
  template:
    metadata:
      labels:
      - app: web
    spec:
      containers:
      - name: nginx
        image: nginx
        volumesMount: []
        env:
        - name: TEXT
          value: "1"
        - name: NUMBER
          value: 1
        - {name: "YES", value: yes}
        resources:
          limits:
            cpu: 1
            memory: 64MiB
  volumeClaimTemplates:
  - metadata:
      labels: {a: b}
    spec: {}
`

func read(t *testing.T, text string) []*Document {
	t.Helper()
	documents, findings := Read("web.yaml", []byte(text))
	if len(findings) > 0 {
		t.Fatalf("%+v", findings)
	}
	return documents
}

func TestLine(t *testing.T) {
	documents := read(t, web)
	if len(documents) != 2 || documents[0].Line("metadata.name") != 5 {
		t.Fatalf("%d documents, the name of the first in line %d", len(documents), documents[0].Line("metadata.name"))
	}
	for field, want := range map[string]int{
		"metadata.name":                                              10,
		"spec.template.spec.containers[0].image":                     24,
		"spec.template.spec.containers[nginx].image":                 24,
		"spec.template.spec.containers[nginx].env[NUMBER]":           29,
		"spec.template.spec.containers[0].env[1].value":              30,
		"spec.template.spec.containers[0].livenessProbe":             23, // the block that lacks it
		"spec.serviceName":                                           13,
		"spec.template.spec.containers[1].image":                     22,
		"spec.template.spec.containers[0].resources.limits[memory]":  35,
		"spec.volumeClaimTemplates[0].metadata.labels[a]":            38,
		"spec.volumeClaimTemplates[absent].spec.storageClassName":    36,
		"nothing.of.that[0].kind[x]":                                 7,
		"spec.template.spec.containers[nginx].env[YES].valueFrom[0]": 31,
	} {
		if got := documents[1].Line(field); got != want {
			t.Errorf("%s is in line %d, want %d", field, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	set := read(t, web)[1]
	invalid := func(field, text string) metav1.Status {
		return metav1.Status{Code: 422, Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: field, Message: text}}}}
	}
	said := func(text string) metav1.Status { return metav1.Status{Code: 400, Message: text} }
	for name, c := range map[string]struct {
		status metav1.Status
		want   []string
	}{
		"a field": {
			invalid("spec.template.spec.containers[0].image", "Required value"),
			[]string{"24 spec.template.spec.containers[0].image: Required value"},
		},
		"a field that is missing": {invalid("spec.replicas", "Required value"), []string{"13 spec.replicas: Required value"}},
		"a claim template without a name": {
			invalid("spec.template.spec.volumes[0].name", "Required value"),
			[]string{"37 spec.template.spec.volumes[0].name: Required value (spec.volumeClaimTemplates[0] has no metadata.name)"},
		},
		"unknown fields": {
			said(`strict decoding error: unknown field "metadata.lables", unknown field "spec.nameService", unknown field "spec.selector.app", unknown field "spec.template.spec.containers[0].volumesMount"`),
			[]string{
				`11 metadata.lables: unknown field "metadata.lables" ("lables" is probably meant to be "labels")`,
				`14 spec.nameService: unknown field "spec.nameService" ("nameService" is probably meant to be "serviceName")`,
				`16 spec.selector.app: unknown field "spec.selector.app" (write it below matchLabels: {app: web})`,
				`25 spec.template.spec.containers[0].volumesMount: unknown field "spec.template.spec.containers[0].volumesMount" ("volumesMount" is probably meant to be "volumeMounts")`,
			},
		},
		"labels as a list": {
			said("json: cannot unmarshal array into Go struct field ObjectMeta.spec.template.metadata.labels of type map[string]string"),
			[]string{"19 spec.template.metadata.labels: json: cannot unmarshal array into Go struct field ObjectMeta.spec.template.metadata.labels of type map[string]string (write it as fields, without the dashes)"},
		},
		"values that are no text": {
			said("json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string"),
			[]string{
				`30 spec.template.spec.containers[0].env[1].value: json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string (put it in quotes: "1")`,
				`31 spec.template.spec.containers[0].env[2].value: json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string (put it in quotes: "yes")`,
			},
		},
		"a quantity": {
			said("quantities must match the regular expression '^x$'"),
			[]string{"35 spec.template.spec.containers[0].resources.limits.memory: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' (64MiB is written 64Mi)"},
		},
		"a namespace":    {said(`namespaces "shop" not found`), []string{`9 metadata.namespace: namespaces "shop" not found`}},
		"something else": {said(`exceeded quota`), []string{`7 : exceeded quota`}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range set.Refused(c.status, &appsv1.StatefulSet{}) {
				line := fmt.Sprintf("%d %s: %s", f.Line, f.Field, f.Text)
				if f.Hint != "" {
					line += " (" + f.Hint + ")"
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The API server counts the claim templates of a set before its volumes.
func TestVolumesOfASet(t *testing.T) {
	set := read(t, `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  template:
    spec:
      volumes:
      - name: conf
        emptyDir: {}
        hostPath: {path: /tmp}
  volumeClaimTemplates:
  - metadata:
      name: data
  - metadata:
      name: Logs
`)[0]
	for field, want := range map[string]int{
		"spec.template.spec.volumes[2].hostPath":                        10,
		"spec.template.spec.volumes[1].name":                            15,
		"spec.template.spec.volumes[2].name":                            8,
		"spec.template.spec.volumes[1].persistentVolumeClaim.claimName": 15,
	} {
		status := metav1.Status{Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: field, Message: "Invalid value"}}}}
		if f := set.Refused(status, nil); len(f) != 1 || f[0].Line != want || f[0].Field != field {
			t.Errorf("%s: %+v, want line %d", field, f, want)
		}
	}
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		lines []int
		words string
	}{
		"no YAML":            {"kind: A\napiVersion: v1\n---\nports: 9090\n  - port: prometheus\n", []int{5}, "mapping values are not allowed in this context"},
		"a value and a list": {"kind: A\napiVersion: v1\n---\nspec:\n  ports: 9090\n  - port: prometheus\n", []int{5}, "did not find expected key"},
		"two colons":         {"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: nginx: v1\n", []int{5}, "mapping values are not allowed in this context"},
		"no apiVersion":      {"\n\napiVerision: v1\nkind: Service\n", []int{3}, `"apiVerision" is probably meant to be "apiVersion"`},
		"neither":            {"metadata: {}\n", []int{1, 1}, "kind not set"},
		"a list of nothing":  {"- 1\n", []int{1}, "fields are expected"},
		"an item": {
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- apiVersion: v1\n",
			[]int{7},
			"kind not set",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, findings := Read("f", []byte(c.text))
			var lines []int
			said := ""
			for _, f := range findings {
				lines, said = append(lines, f.Line), said+f.Text+" "+f.Hint+"\n"
			}
			if diff := cmp.Diff(c.lines, lines); diff != "" || !strings.Contains(said, c.words) {
				t.Errorf("%s\n%s", diff, said)
			}
		})
	}
}

func TestTwice(t *testing.T) {
	one := "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: web\n"
	documents := read(t, one+"---\n"+one+"  namespace: other\n---\n"+one+"  namespace: shop\n---\n"+strings.Replace(one, "web", "wbe", 1))
	findings := Twice(documents, "shop")
	if len(findings) != 1 || findings[0].Line != 15 || !strings.Contains(findings[0].Text, "line 4") {
		t.Errorf("%+v", findings)
	}
}

// Whatever is read and asked for, nothing breaks and lines are the file's.
func TestAnyText(t *testing.T) {
	words := rapid.SampledFrom([]string{"apiVersion: v1\n", "kind: Pod\n", "---\n", "metadata:\n", "  name: a\n", "items:\n", "- ", "  - b: 1\n", "{", "*a\n", "&a ", ": ", "\t", "? x\n", "kind: List\n"})
	fields := rapid.StringMatching(`[a-z.\[\]0-9]{0,12}`)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(words, 0, 12).Draw(t, "text"), "")
		field := fields.Draw(t, "field")
		lines := strings.Count(text, "\n") + 1
		documents, findings := Read("f", []byte(text))
		for _, d := range documents {
			findings = append(findings, d.At(field, ""))
			findings = append(findings, d.Refused(metav1.Status{Message: "quantities must match the regular expression"}, nil)...)
			findings = append(findings, d.Refused(metav1.Status{Message: "json: cannot unmarshal x into Go struct field A." + field + " of type string"}, nil)...)
		}
		for _, f := range findings {
			if f.Line < 1 || f.Line > lines {
				t.Fatalf("line %d of %d: %+v\n%s", f.Line, lines, f, text)
			}
		}
	})
}
