package fuzz

import (
	"math/rand"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// allowed are answers above 499 that upstream gives as well.
var allowed = []struct {
	code int
	body *regexp.Regexp
}{
	{500, regexp.MustCompile(`failed to create typed patch object`)},
	{500, regexp.MustCompile(`failed to convert (new|old|current) object|expected (objects with types|a \[\]interface)|unknown patch type|delete patch type with no merge key|unable to find api field|invalid (patch|element)|does not contain (declared merge key|merge key)|cannot (be parsed|create a patch)|list patch|list element types are not identical|wrong type|The order in patch list`)},
	{500, regexp.MustCompile(`strategic|merge key|\$setElementOrder|\$retainKeys|setElementOrder|primitive|map: map\[|in patch`)},
	{500, regexp.MustCompile(`broke the API server`)}, // see tolerated
	{500, regexp.MustCompile(`unable to encode watch object|stream|is not a websocket`)},
	{500, regexp.MustCompile(`strconv.ParseUint|target.(kind|name): |resourceVersion (should not|can not|may only) be set|invalid resource name`)},
	{500, regexp.MustCompile(`name generation|failed to (update|merge) `)},
	{503, regexp.MustCompile(`no endpoints available|error trying to reach|service unavailable`)},
	{504, regexp.MustCompile(`Too large resource version`)},
	{504, regexp.MustCompile(`request did not complete within|Timeout`)},
	{502, regexp.MustCompile(`dialing|dial`)},
}

// tolerated are the places in libraries that upstream's server panics in as
// well; ours answers 500 and goes on.
var tolerated = []string{
	"json-patch", "strategicpatch.", "structured-merge-diff", "is not http.Hijacker", "http: abort Handler",
}

// TestRandomRequests asks a running server for nonsense, in memory and through
// TLS, and looks after each request whether it has taken harm.
func TestRandomRequests(t *testing.T) {
	w := newWorld(t)
	c := chooser{source(t), w.seeds}
	noticed.take()
	codes, differ := map[int]int{}, differences{}
	other, compare := upstream(t)
	if compare {
		w.plant(t, other)
	}
	for end := time.Now().Add(*span); time.Now().Before(end) && (*keepGoing || !t.Failed()); {
		r := c.request()
		if compare && endless(r.Body) {
			continue // upstream would never answer
		}
		d := w.memory
		if c.chance(4) {
			d = w.tls
		}
		a := w.ask(t, d, r)
		codes[a.Code]++
		if compare && r.Method != "HEAD" && !strings.Contains(r.Path, "spiderpool") {
			differ.add(r, a, other.send(t, r))
		}
		if c.chance(200) {
			w.plant(t, w.memory)
			if compare {
				w.plant(t, other)
			}
		}
	}
	t.Log(codes)
	if compare {
		t.Logf("%d kinds of differences\n%s", len(differ), differ)
	}
}

// ask does r and checks what must hold after any request.
func (w *world) ask(t testing.TB, d door, r request) answer {
	t.Helper()
	before := w.revision(t)
	began := time.Now()
	var a answer
	within(t, r.String, func() { a = d.send(t, r) })
	if took := time.Since(began); took > patience/2 {
		t.Errorf("this took %s: %s", took, r)
	}
	for _, p := range noticed.take() {
		if !slices.ContainsFunc(tolerated, func(place string) bool { return strings.Contains(p, place) }) || strings.Contains(p, "berth.dev/berth/internal/api/") {
			t.Errorf("the server panicked: %s\n%s", p, r)
		}
	}
	reason, message, ok := a.status()
	switch {
	case a.Err != nil:
		if !refusedByClient(a.Err, r) {
			t.Errorf("no answer: %v\n%s", a.Err, r)
		}
	case a.Code >= 500 && !permitted(a.Code, string(a.Body)):
		t.Errorf("answer %d %s %q to %s", a.Code, reason, a.Body, r)
	case ok && a.Code >= 400 && reason == "" && message == "":
		t.Errorf("%d without a reason to %s", a.Code, r)
	}
	if mayChange(r, a) {
		return a
	}
	if after := w.revision(t); after != before {
		if keys := w.changed(t, before); len(keys) > 0 {
			t.Errorf("answer %d, and yet %v changed after %s", a.Code, keys, r)
		}
	}
	return a
}

func permitted(code int, body string) bool {
	for _, a := range allowed {
		if a.code == code && a.body.MatchString(body) {
			return true
		}
	}
	return false
}

// refusedByClient are requests that the client's side does not send.
func refusedByClient(err error, r request) bool {
	text := err.Error()
	return strings.Contains(text, "net/http: invalid") || strings.Contains(text, "invalid method") || strings.Contains(text, "invalid header") ||
		strings.Contains(text, "http2: ") || r.Method == "CONNECT" || r.Header.Get("Upgrade") != ""
}

// mayChange says whether something may be stored differently after r was answered with a.
func mayChange(r request, a answer) bool {
	switch strings.ToUpper(r.Method) {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	// One who does not understand the form of the answer gets 406 when all is done.
	return (a.Code < 300 || a.Code == http.StatusNotAcceptable) && !strings.Contains(r.Query, "dryRun=All")
}

// FuzzRequest lets the fuzzer choose.
func FuzzRequest(f *testing.F) {
	w := newWorld(f)
	for i := range int64(20) {
		f.Add(i)
	}
	f.Fuzz(func(t *testing.T, choices int64) {
		c := chooser{rand.New(rand.NewSource(choices)), w.seeds}
		w.ask(t, w.memory, c.request())
	})
}
