package behaviour

import (
	"net/http"
	"strings"
	"testing"
)

const (
	mergePatch     = "Content-Type: application/merge-patch+json"
	strategicPatch = "Content-Type: application/strategic-merge-patch+json"
	jsonPatch      = "Content-Type: application/json-patch+json"
	applyPatch     = "Content-Type: application/apply-patch+yaml"
)

func pod(name, more string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + name + `"},"spec":{"containers":[{"name":"c","image":"i"` + more + `}]}}`
}

func TestFieldValidation(t *testing.T) {
	w := start(t)
	const pods = "/api/v1/namespaces/default/pods"
	w.must(http.MethodPost, pods, pod("have", ""))
	for name, c := range map[string]struct {
		method, path, body, media string
		// warnings are what Warn says and what Strict refuses with.
		warnings []string
	}{
		"create": {
			http.MethodPost, pods, pod("new", `,"imagee":"x","env":[{"name":"a","name":"b"}]`), "",
			[]string{`unknown field "spec.containers[0].imagee"`, `duplicate field "spec.containers[0].env[0].name"`},
		},
		"create from YAML": {
			http.MethodPost, pods, "apiVersion: v1\nkind: Pod\nmetadata: {name: new}\nspec:\n  containers:\n  - {name: c, image: i, imagee: x}\n", "Content-Type: application/yaml",
			[]string{`unknown field "spec.containers[0].imagee"`},
		},
		"create from YAML with a key twice": {
			http.MethodPost, pods, "apiVersion: v1\nkind: Pod\nmetadata: {name: new}\nspec:\n  containers:\n  - name: c\n    image: i\n    image: j\n", "Content-Type: application/yaml",
			[]string{`line 8: key "image" already set in map`},
		},
		"update": {
			http.MethodPut, pods + "/have", pod("have", `,"imagee":"x"`), "",
			[]string{`unknown field "spec.containers[0].imagee"`},
		},
		"merge patch": {
			http.MethodPatch, pods + "/have", `{"metadata":{"labels":{"a":"b"},"labells":{}},"spek":1}`, mergePatch,
			[]string{`unknown field "metadata.labells"`, `unknown field "spek"`},
		},
		"merge patch with a field twice": {
			http.MethodPatch, pods + "/have", `{"metadata":{"labels":{"a":"b"},"labels":{"a":"c"}}}`, mergePatch,
			[]string{`duplicate field "metadata.labels"`},
		},
		"strategic merge patch": {
			http.MethodPatch, pods + "/have", `{"spec":{"containers":[{"name":"c","imagee":"x"}]}}`, strategicPatch,
			[]string{`unknown field "spec.containers[0].imagee"`},
		},
		"strategic merge patch with a field twice": {
			http.MethodPatch, pods + "/have", `{"metadata":{"labels":{"a":"b"},"labels":{"a":"c"}}}`, strategicPatch,
			[]string{`duplicate field "metadata.labels"`},
		},
		"JSON patch": {
			http.MethodPatch, pods + "/have", `[{"op":"add","path":"/spec/foo","value":"x"}]`, jsonPatch,
			[]string{`unknown field "spec.foo"`},
		},
		"JSON patch with a field twice": {
			http.MethodPatch, pods + "/have", `[{"op":"add","path":"/metadata/labels","value":{"x":"y"},"op":"add"}]`, jsonPatch,
			[]string{`json patch duplicate field "[0].op"`},
		},
		"apply": {
			http.MethodPatch, pods + "/have?fieldManager=a", pod("have", ``), applyPatch, nil,
		},
		"apply with a field twice": {
			http.MethodPatch, pods + "/have?fieldManager=a&force=true", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: have\n  labels: {a: b}\n  labels: {a: c}\n", applyPatch,
			[]string{`line 6: key "labels" already set in map`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			send := func(level string) answer {
				path := c.path
				if level != "" {
					path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "fieldValidation=" + level
				}
				headers := []string{}
				if c.media != "" {
					headers = append(headers, c.media)
				}
				a := w.do(c.method, path, c.body, headers...)
				if c.method == http.MethodPost && a.code == http.StatusCreated {
					w.must(http.MethodDelete, pods+"/new?gracePeriodSeconds=0", "")
				}
				return a
			}
			// Warn is the default.
			for _, level := range []string{"Warn", ""} {
				a := send(level)
				if a.code != http.StatusOK && a.code != http.StatusCreated {
					t.Fatalf("%s: %d %s", level, a.code, a.body)
				}
				got := strings.Join(a.header.Values("Warning"), "\n")
				for _, want := range c.warnings {
					if !strings.Contains(got, strings.ReplaceAll(want, `"`, `\"`)) {
						t.Errorf("%q: warnings are %s, want %s", level, got, want)
					}
				}
				if len(a.header.Values("Warning")) != len(c.warnings) {
					t.Errorf("%q: warnings are %s", level, got)
				}
			}
			if a := send("Ignore"); (a.code != http.StatusOK && a.code != http.StatusCreated) || a.header.Get("Warning") != "" {
				t.Errorf("Ignore: %d %v %s", a.code, a.header.Values("Warning"), a.body)
			}
			a := send("Strict")
			if len(c.warnings) == 0 {
				if a.code != http.StatusOK {
					t.Errorf("Strict: %d %s", a.code, a.body)
				}
				return
			}
			for _, want := range c.warnings {
				if a.code == http.StatusUnprocessableEntity {
					a.status(t, http.StatusUnprocessableEntity, "Invalid", want)
				} else {
					a.status(t, http.StatusBadRequest, "BadRequest", want)
				}
			}
		})
	}
	// A patch that is applied to an object is judged by its outcome.
	w.do(http.MethodPatch, pods+"/have?fieldValidation=Strict", `{"spek":1}`, mergePatch).
		status(t, http.StatusUnprocessableEntity, "Invalid", ` "" is invalid: patch: Invalid value: `)
	// Apply refuses unknown fields at every level.
	for _, level := range []string{"Ignore", "Warn", "Strict"} {
		w.do(http.MethodPatch, pods+"/have?fieldManager=a&fieldValidation="+level, pod("have", `,"imagee":"x"`), applyPatch).
			status(t, http.StatusInternalServerError, "", `field not declared in schema`)
	}
	w.do(http.MethodPost, pods+"?fieldValidation=Loose", pod("new", "")).
		status(t, http.StatusUnprocessableEntity, "Invalid", `CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Loose": supported values: "", "Ignore", "Strict", "Warn"`)
}
