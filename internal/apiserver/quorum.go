package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/join"
)

// always are answered without a quorum too: they say that there is none.
var always = []string{"/readyz", "/livez", "/healthz", "/metrics", "/version"}

// whileQuorum refuses requests while this server's datastore has no quorum, which
// would otherwise wait for it in vain, and ends the watches when it loses it: they
// would be silent. A client then asks another server.
func whileQuorum(next http.Handler, quorum func() (context.Context, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		has, err := quorum()
		switch {
		case err != nil && !isAlways(r.URL.Path):
			refuseWithoutQuorum(w, err)
			return
		case has != nil && r.URL.Query().Has("watch"):
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(has, cancel)()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

func isAlways(path string) bool {
	for _, p := range always {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

func refuseWithoutQuorum(w http.ResponseWriter, err error) {
	status := apierrors.NewServiceUnavailable(err.Error()).Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(join.NoQuorumHeader, "true")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(status) // who is gone hears nothing
}
