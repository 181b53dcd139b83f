package aggregation

import (
	"net/http"
	"strings"
)

// Wrap puts the Aggregator in front of next, which knows the local APIs.
func (a *Aggregator) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch path := req.URL.Path; {
		case path == "/apis":
			a.groupDocs.ServeHTTP(w, req)
		case path == "/apis/":
			a.serveGroups(w, req)
		case strings.HasPrefix(path, "/api"):
			if t := a.route(path); t != nil {
				t.ServeHTTP(w, req)
				return
			}
			if group, ok := groupOf(path); ok && a.serveGroup(w, req, group) {
				return
			}
			next.ServeHTTP(w, req)
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// route finds the remote server that answers for path, or nil.
func (a *Aggregator) route(path string) *target {
	routes := a.routes.Load()
	if routes == nil || len(*routes) == 0 {
		return nil
	}
	if path == "/api" || strings.HasPrefix(path, "/api/") {
		return (*routes)["/api"]
	}
	// /apis/<group>/<version> and what is below it
	end := 0
	for range 3 {
		next := strings.IndexByte(path[end+1:], '/')
		if next < 0 {
			return (*routes)[path]
		}
		end += 1 + next
	}
	return (*routes)[path[:end]]
}

// groupOf returns the group that a discovery path /apis/<group> names.
func groupOf(path string) (string, bool) {
	group, ok := strings.CutPrefix(path, "/apis/")
	group = strings.TrimSuffix(group, "/")
	return group, ok && group != "" && !strings.Contains(group, "/")
}
