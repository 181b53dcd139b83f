package member

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/join"
)

var (
	ranges = join.Cluster{ClusterCIDRs: []string{"10.42.0.0/16"}, ServiceCIDRs: []string{"10.43.0.0/16"}, ClusterDomain: "cluster.local"}
	two    = Candidate{Name: "two", URL: "https://192.0.2.2:2380", Version: "v1", Cluster: ranges}
)

// fake is a datastore that notes what is asked of it.
type fake struct {
	members []datastore.Member
	did     []string
	fail    error
}

func (f *fake) Members(context.Context) ([]datastore.Member, error) { return f.members, f.fail }

func (f *fake) Admit(_ context.Context, url string) ([]datastore.Member, error) {
	f.did = append(f.did, "admit "+url)
	return append(f.members, datastore.Member{ID: 2, URL: url, Learner: true}), f.fail
}

func (f *fake) Remove(_ context.Context, id uint64) error {
	f.did = append(f.did, "remove "+string(rune('0'+id)))
	return f.fail
}

func handler(f *fake) *Handler {
	f.members = append([]datastore.Member{{ID: 1, Name: "one", URL: "https://192.0.2.1:2380"}}, f.members...)
	return &Handler{
		Datastore: f, Version: "v1", Cluster: ranges, Log: slog.New(slog.DiscardHandler),
		Keys:      func(context.Context) ([]byte, error) { return []byte("sealed"), nil },
		NodeLives: func(_ context.Context, name string) (bool, error) { return name == "node", nil },
		Admitted:  func() error { f.did = append(f.did, "remember"); return nil },
	}
}

// client speaks to h as to a server that has proved who it is.
func client(t *testing.T, h http.Handler) *Client {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	c, err := NewClient(s.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), "secret")
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com" // the test server's
	return c
}

func TestJoin(t *testing.T) {
	f := &fake{}
	c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("the token is shown as %q", r.Header.Get("Authorization"))
		}
		handler(f).ServeHTTP(w, r)
	}))
	sealed, err := c.Keys(t.Context(), two)
	if err != nil || string(sealed) != "sealed" || f.did != nil {
		t.Errorf("%s, %v; did %v", sealed, err, f.did)
	}
	members, err := c.Admit(t.Context(), two)
	if err != nil || len(members) < 2 || members[len(members)-1].URL != two.URL {
		t.Errorf("%+v, %v", members, err)
	}
	if diff := cmp.Diff([]string{"remember", "admit " + two.URL}, f.did); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	for want, change := range map[string]func(*Candidate, *fake){
		"are of version v1 and this one is of v2": func(c *Candidate, _ *fake) { c.Version = "v2" },
		"--cluster-cidr, --service-cidr":          func(c *Candidate, _ *fake) { c.Cluster.ServiceCIDRs = []string{"10.9.0.0/16"} },
		"a server one, at":                        func(c *Candidate, _ *fake) { c.Name = "one" },
		"the server one of this cluster is at":    func(c *Candidate, _ *fake) { c.URL = "https://192.0.2.1:2380" },
		"a node node of this cluster is Ready":    func(c *Candidate, _ *fake) { c.Name = "node" },
		"a server two, at https://192.0.2.2:2380": func(_ *Candidate, f *fake) {
			f.members = []datastore.Member{{ID: 2, Name: "two", URL: two.URL}} // its data is lost
		},
	} {
		who, f := two, &fake{}
		change(&who, f)
		c := client(t, handler(f))
		_, err := c.Keys(t.Context(), who)
		_, again := c.Admit(t.Context(), who)
		for _, err := range []error{err, again} {
			var no Refusal
			if !errors.As(err, &no) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		if f.did != nil {
			t.Errorf("%s: did %v", want, f.did)
		}
	}
	// One that died while it joined may ask again.
	f := &fake{members: []datastore.Member{{ID: 2, Name: "two", URL: two.URL, Learner: true}}}
	if _, err := client(t, handler(f)).Admit(t.Context(), two); err != nil {
		t.Error(err)
	}
}

func TestWhetherToAskAgain(t *testing.T) {
	for code, again := range map[int]bool{401: false, 403: false, 404: false, 409: false, 429: true, 500: true, 503: true} {
		c := client(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "so it is", code) }))
		_, err := c.Keys(t.Context(), two)
		var no Refusal
		if final := errors.As(err, &no) || errors.Is(err, ErrToken); err == nil || final == again {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func TestRemove(t *testing.T) {
	learner := datastore.Member{ID: 3, URL: "https://192.0.2.3:2380", Learner: true}
	for _, c := range []struct {
		name    string
		members []datastore.Member
		fail    error
		code    int
		did     []string
	}{
		{"one", nil, nil, http.StatusConflict, nil},
		{"two", nil, nil, http.StatusNotFound, nil},
		{"one", []datastore.Member{learner}, nil, http.StatusOK, []string{"remove 1"}},
		{"192.0.2.3", []datastore.Member{learner}, nil, http.StatusOK, []string{"remove 3"}},
		{"192.0.2.1", []datastore.Member{learner}, nil, http.StatusNotFound, nil},
		{"one", nil, datastore.ErrExternal, http.StatusConflict, nil},
	} {
		f := &fake{members: c.members, fail: c.fail}
		w := httptest.NewRecorder()
		handler(f).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodDelete, Path+"/"+c.name, nil))
		if diff := cmp.Diff(c.did, f.did); w.Code != c.code || diff != "" {
			t.Errorf("%s: %d %s\n%s", c.name, w.Code, w.Body, diff)
		}
	}
}

func TestList(t *testing.T) {
	w := httptest.NewRecorder()
	handler(&fake{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, Path, nil))
	var got []datastore.Member
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) != 1 || got[0].Name != "one" {
		t.Errorf("%s: %v", w.Body, err)
	}
}

func TestMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "member.json")
	if m, err := Read(file); m != (Memory{}) || err != nil {
		t.Errorf("no file: %v, %v", m, err)
	}
	for _, want := range []Memory{{State: Joining, Server: "a"}, {State: Joined, Server: "a"}, {State: Removed}} {
		if err := want.Write(file); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(file); got != want || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	for _, text := range []string{"", "{", `{"state":"else"}`, `{}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
