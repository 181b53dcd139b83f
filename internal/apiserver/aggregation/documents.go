package aggregation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/util/responsewriter"
	"k8s.io/klog/v2"
	openapi "k8s.io/kube-aggregator/pkg/controllers/openapi/aggregator"
	openapiv3 "k8s.io/kube-aggregator/pkg/controllers/openapiv3/aggregator"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/openapiconv"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

const (
	// freshFor is how long a downloaded document is good, as upstream's.
	freshFor = time.Minute
	// retryAfter is how long a server that gave none is left in peace.
	retryAfter = 10 * time.Second
	// patience bounds what a slow server costs those who ask for OpenAPI.
	patience = 5 * time.Second
)

// Document describes the kinds of one remote group version.
type Document struct {
	// Path is the group version's in OpenAPI v3, "apis/metrics.k8s.io/v1beta1".
	Path string
	// V2 and V3 are nil if the server describes nothing.
	V2 *spec.Swagger
	V3 *spec3.OpenAPI
	// Print differs when the contents differ.
	Print string
}

// documents are downloaded when somebody asks for OpenAPI.
type documents struct {
	mu     sync.Mutex
	byName map[string]*download
}

type download struct {
	target *target
	busy   chan struct{} // open while a download runs; nil before the first
	next   time.Time     // not again before
	doc    Document
}

// Documents returns what the available remote servers say about their kinds, in
// the order of the APIServices' names. It waits a little for what is missing or old.
func (a *Aggregator) Documents() []Document {
	a.mu.Lock()
	targets := make([]*target, 0, len(a.targets))
	for _, t := range a.targets {
		if t.available && t.service.Spec.Group != "" {
			targets = append(targets, t)
		}
	}
	a.mu.Unlock()
	slices.SortFunc(targets, func(x, y *target) int { return strings.Compare(x.service.Name, y.service.Name) })
	return a.documents.get(targets, time.Now())
}

func (d *documents) get(targets []*target, now time.Time) []Document {
	d.mu.Lock()
	defer d.mu.Unlock()
	fresh := make(map[string]*download, len(targets))
	var wait []chan struct{}
	for _, t := range targets {
		one := d.byName[t.service.Name]
		if one == nil || one.target.service.UID != t.service.UID {
			one = &download{}
		}
		one.target = t
		fresh[t.service.Name] = one
		if one.start(&d.mu, now) {
			wait = append(wait, one.busy)
		}
	}
	d.byName = fresh
	d.mu.Unlock()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for _, done := range wait {
		select {
		case <-done:
		case <-timeout.C:
			timeout.Reset(0)
		}
	}
	d.mu.Lock()
	var out []Document
	for _, t := range targets {
		if doc := fresh[t.service.Name].doc; doc.V2 != nil || doc.V3 != nil {
			out = append(out, doc)
		}
	}
	return out
}

// start downloads in the background if it is time to; true means that a
// download runs. mu is held and guards what the download changes.
func (d *download) start(mu *sync.Mutex, now time.Time) bool {
	if d.busy != nil {
		select {
		case <-d.busy:
		default:
			return true
		}
	}
	if now.Before(d.next) {
		return false
	}
	d.busy = make(chan struct{})
	go func(done chan struct{}, t *target) {
		defer close(done)
		doc, err := fetch(t)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			klog.V(2).ErrorS(err, "Downloading OpenAPI", "apiService", t.service.Name)
			d.next = time.Now().Add(retryAfter)
			return
		}
		d.doc, d.next = doc, time.Now().Add(freshFor)
	}(d.busy, d.target)
	return true
}

// fetch asks a server for both forms. One that has no OpenAPI v3 gets what
// follows from v2.
func fetch(t *target) (Document, error) {
	doc := Document{Path: strings.TrimPrefix(t.path(), "/")}
	handler := as(t, &user.DefaultInfo{Name: "system:aggregator"})
	v2 := openapi.NewDownloader()
	whole, print, status, err := v2.Download(handler, "")
	if err != nil {
		return doc, err
	}
	if status == http.StatusOK {
		doc.V2 = aggregator.FilterSpecByPathsWithoutSideEffects(whole, []string{t.path() + "/"})
		doc.Print = print
	}
	v3 := openapiv3.NewDownloader()
	root, status, err := v3.OpenAPIV3Root(handler)
	if err != nil {
		return doc, err
	}
	if status == http.StatusOK {
		if at, ok := root.Paths[doc.Path]; ok {
			text, err := read(handler, at.ServerRelativeURL)
			if err != nil {
				return doc, err
			}
			doc.V3 = &spec3.OpenAPI{}
			if err := json.Unmarshal(text, doc.V3); err != nil {
				return doc, err
			}
			sum := sha256.Sum256(text)
			doc.Print += hex.EncodeToString(sum[:])
		}
	} else if doc.V2 != nil {
		doc.V3 = openapiconv.ConvertV2ToV3(doc.V2)
	}
	return doc, nil
}

func read(handler http.Handler, url string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	w := responsewriter.NewInMemoryResponseWriter()
	http.TimeoutHandler(handler, freshFor, "request timed out").ServeHTTP(w, req)
	if w.RespCode() != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, w.String())
	}
	return w.Data(), nil
}

// as lets requests pass as a user's.
func as(next http.Handler, who user.Info) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		next.ServeHTTP(w, req.WithContext(request.WithUser(req.Context(), who)))
	})
}
