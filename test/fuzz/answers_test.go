package fuzz

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

var record = flag.Bool("record", false, "write testdata/answers.json from what the server of -upstream says")

const answersFile = "testdata/answers.json"

// said is an answer in the file: upstream's, word for word.
type said struct {
	Code    int
	Reason  string `json:",omitempty"`
	Message string `json:",omitempty"`
}

// unstable are the parts of a message that differ from run to run, that
// compare objects field by field, or that name Go types.
var unstable = []struct {
	found *regexp.Regexp
	as    string
}{
	{regexp.MustCompile(`"\{.*\}"`), "OBJECT"},
	{regexp.MustCompile(`(?s)\n@@.*`), "\nDIFFERENCE"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`record \(\d+\)`), "record (N)"},
	{regexp.MustCompile(`(\(\*?)[a-z0-9]+\.([A-Z])`), "$1$2"},
	{regexp.MustCompile(`(\(\*?)[a-z0-9]+\.([A-Z])`), "$1$2"},
	{regexp.MustCompile(`(G{50})G+[a-z0-9]+`), "$1"},
}

func (a answer) said() said {
	reason, message, _ := a.status()
	for _, u := range unstable {
		message = u.found.ReplaceAllString(message, u.as)
	}
	if len(message) > 700 {
		message = message[:700]
	}
	return said{a.Code, reason, message}
}

// TestAnswers asks the well-known wrong questions and expects upstream's words.
func TestAnswers(t *testing.T) {
	w := newWorld(t)
	noticed.take()
	if *record {
		recordAnswers(t, w)
	}
	text, err := os.ReadFile(answersFile)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]said
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for _, d := range []door{w.memory, w.tls} {
		w.plant(t, w.memory)
		for _, q := range questions() {
			t.Run(d.name+"/"+q.name, func(t *testing.T) {
				if _, ok := want[q.name]; !ok {
					t.Fatalf("%s has no answer to this; record it", answersFile)
				}
				if got := w.ask(t, d, q.request).said(); got != want[q.name] {
					t.Errorf("\n got %+v\nwant %+v", got, want[q.name])
				}
			})
		}
	}
}

// newer are the questions that the libraries of 1.37 answer with other words
// than those of 1.36, which is what can be had to compare with.
var newer = map[string]said{
	"JSON patch that is no JSON":  {400, "BadRequest", "invalid JSON patch"},
	"merge patch that is no JSON": {400, "BadRequest", "invalid JSON patch"},
	"deep merge patch":            {400, "BadRequest", "invalid JSON patch"},
	"owner without uid":           {422, "Invalid", `ConfigMap "x" is invalid: metadata.ownerReferences[0].uid: Required value: must not be empty`},
	"owner that is an event":      {422, "Invalid", `ConfigMap "x" is invalid: metadata.ownerReferences[0]: Invalid value: {"apiVersion":"v1","kind":"Event","name":"a","uid":"1"}: /v1, Kind=Event is disallowed from being an owner`},
}

func recordAnswers(t *testing.T, w *world) {
	t.Helper()
	d, ok := upstream(t)
	if !ok {
		t.Fatal("-record needs -upstream")
	}
	w.plant(t, d)
	all := map[string]said{}
	for _, q := range questions() {
		all[q.name] = d.send(t, q.request).said()
		if a, ok := newer[q.name]; ok {
			all[q.name] = a
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(all); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(answersFile, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

type question struct {
	name string
	request
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func zipped(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text)
	_ = z.Close()
	return b.Bytes()
}

const (
	maps      = "/api/v1/namespaces/default/configmaps"
	onePod    = "/api/v1/namespaces/default/pods/b"
	oneMap    = maps + "/a"
	limit     = 3 << 20 // of a body
	smp       = "application/strategic-merge-patch+json"
	jsonPatch = "application/json-patch+json"
	merge     = "application/merge-patch+json"
	apply     = "application/apply-patch+yaml"
	proto     = "application/vnd.kubernetes.protobuf"
)

func dataMap(name, more string) []byte {
	return []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `"` + more + `}}`)
}

// bomb repeats an alias of an alias.
func bomb() []byte {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		from := string(rune('0' + i - 1))
		b.WriteString("a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.TrimSuffix(strings.Repeat("*a"+from+",", 10), ",") + "]\n")
	}
	return []byte(b.String())
}

func get(name, path, query string, headers ...string) question {
	return question{name, request{Method: "GET", Path: path, Query: query, Header: header(headers...)}}
}

func post(name, path, query, kind string, body []byte, headers ...string) question {
	h := header(headers...)
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	return question{name, request{Method: "POST", Path: path, Query: query, Header: h, Body: body}}
}

func put(name, path string, body []byte) question {
	return question{name, request{Method: "PUT", Path: path, Header: header("Content-Type", "application/json"), Body: body}}
}

func patch(name, path, query, kind, body string) question {
	return question{name, request{Method: "PATCH", Path: path, Query: query, Header: header("Content-Type", kind), Body: []byte(body)}}
}

func del(name, path, query, body string) question {
	q := question{name, request{Method: "DELETE", Path: path, Query: query, Header: http.Header{}}}
	if body != "" {
		q.Body = []byte(body)
	}
	return q
}
