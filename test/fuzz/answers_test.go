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

var unstable = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func (a answer) said() said {
	reason, message, _ := a.status()
	if len(message) > 700 {
		message = message[:700]
	}
	return said{a.Code, reason, unstable.ReplaceAllString(message, "UID")}
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
