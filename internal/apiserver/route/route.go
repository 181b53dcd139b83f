// Package route finds the endpoint of a request. The library's router compares
// each request with every route of its group, some hundreds, and copies them
// meanwhile, which was an eighth of the work of a GET.
package route

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/emicklei/go-restful/v3"
)

// Router selects the route that restful.CurlyRouter would select. It knows the
// plain case, a request that one route with nothing but literal and named parts
// is for, and leaves all else to that router, errors too.
type Router struct {
	usual restful.CurlyRouter
	known sync.Map // *restful.WebService to *service
}

var _ restful.RouteSelector = &Router{}

// SelectRoute implements restful.RouteSelector.
func (r *Router) SelectRoute(services []*restful.WebService, req *http.Request) (*restful.WebService, *restful.Route, error) {
	if ws := serviceOf(services, req.URL.Path); ws != nil {
		if found := r.index(ws).find(req); found != nil {
			return ws, found, nil
		}
	}
	return r.usual.SelectRoute(services, req)
}

// serviceOf is the service with the longest root that path begins with; nil if
// a root has parameters, which make a score of their own.
func serviceOf(services []*restful.WebService, path string) *restful.WebService {
	var best *restful.WebService
	for _, ws := range services {
		root := strings.TrimRight(ws.RootPath(), "/")
		if strings.Contains(root, "{") {
			return nil
		}
		if rest, ok := strings.CutPrefix(path, root); !ok || rest != "" && rest[0] != '/' {
			continue
		}
		if best == nil || len(root) > len(strings.TrimRight(best.RootPath(), "/")) {
			best = ws
		}
	}
	return best
}

// index is made when a service is first asked for, and again when it got more routes.
func (r *Router) index(ws *restful.WebService) *service {
	routes := ws.Routes()
	if known, ok := r.known.Load(ws); ok {
		if s, ok := known.(*service); ok && s.routes == len(routes) {
			return s
		}
	}
	s := newService(routes)
	r.known.Store(ws, s)
	return s
}

// service are the routes of one web service.
type service struct {
	routes int
	plain  map[shape][]entry
	// others have parts with a pattern or a condition.
	others []entry
}

// shape is what a plain route and a request for it have in common.
type shape struct {
	method string
	parts  int
}

type entry struct {
	parts  []string
	static int
	route  *restful.Route
}

func newService(routes []restful.Route) *service {
	s := &service{routes: len(routes), plain: map[shape][]entry{}}
	for i := range routes {
		route := &routes[i]
		e := entry{parts: split(route.Path), route: route}
		plain := len(route.If) == 0
		for _, part := range e.parts {
			if !named(part) {
				e.static++
			}
			plain = plain && !strings.Contains(part, ":")
		}
		if plain {
			of := shape{route.Method, len(e.parts)}
			s.plain[of] = append(s.plain[of], e)
		} else {
			s.others = append(s.others, e)
		}
	}
	for _, entries := range s.plain {
		slices.SortFunc(entries, better)
	}
	return s
}

// better puts first the route with more literal parts; all have as many parts.
func better(a, b entry) int {
	if a.static != b.static {
		return b.static - a.static
	}
	return strings.Compare(b.route.Path, a.route.Path)
}

// find is the route for req, or nil if that is not plain to see.
func (s *service) find(req *http.Request) *restful.Route {
	parts := split(req.URL.Path)
	for _, e := range s.others {
		if e.mayMatch(parts) {
			return nil
		}
	}
	for _, e := range s.plain[shape{req.Method, len(parts)}] {
		if e.matches(parts) {
			if consumes(e.route, req.Header.Get("Content-Type")) && produces(e.route, req.Header.Get("Accept")) {
				return e.route
			}
			return nil // another may, or it is an error
		}
	}
	return nil
}

func (e entry) matches(parts []string) bool {
	for i, part := range e.parts {
		if part != parts[i] && !named(part) {
			return false
		}
	}
	return true
}

// mayMatch says whether parts begin as the route does up to its first pattern.
func (e entry) mayMatch(parts []string) bool {
	for i, part := range e.parts {
		if i == len(parts) {
			return false
		}
		if strings.Contains(part, ":") {
			return true
		}
		if part != parts[i] && !named(part) {
			return false
		}
	}
	return true
}

func named(part string) bool { return strings.HasPrefix(part, "{") }

func split(path string) []string { return strings.Split(strings.Trim(path, "/"), "/") }

// consumes says whether a route that is for any content, or for this very one, is.
func consumes(route *restful.Route, contentType string) bool {
	if len(route.Consumes) == 0 || slices.Contains(route.Consumes, "*/*") {
		return true
	}
	media, _, _ := strings.Cut(contentType, ";")
	return media != "" && slices.Contains(route.Consumes, media)
}

// produces says whether one of the accepted types is produced.
func produces(route *restful.Route, accept string) bool {
	if accept == "" || slices.Contains(route.Produces, "*/*") {
		return true
	}
	for one := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(one, ";")
		if media = strings.TrimSpace(media); media == "*/*" || slices.Contains(route.Produces, media) {
			return true
		}
	}
	return false
}
