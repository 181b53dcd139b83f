package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/handler3"

	"berth.dev/berth/internal/openapi/documents"
)

// GitVersion is what a server says its version is.
func GitVersion() string { return newEffectiveVersion().Info().GitVersion }

// Documents has the library make the OpenAPI v3 documents of the server's
// built-in group versions from its routes, as they are to be in
// internal/openapi/documents.
func (s *Server) Documents() (map[string][]byte, error) {
	shared := sharedV3Config()
	config, info := *shared, *shared.Info
	info.Version = documents.Version
	config.Info = &info
	paths := mux.NewPathRecorderMux("documents")
	routes.OpenAPI{V3Config: &config}.InstallV3(s.openapi.routes(), paths)
	get := func(path string) ([]byte, error) {
		w := httptest.NewRecorder()
		paths.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK {
			return nil, fmt.Errorf("%s: %d", path, w.Code)
		}
		return w.Body.Bytes(), nil
	}
	text, err := get(documents.Path)
	if err != nil {
		return nil, err
	}
	var index handler3.OpenAPIV3Discovery
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for of := range index.Paths {
		if all[of], err = get(documents.Path + "/" + of); err != nil {
			return nil, err
		}
	}
	return all, nil
}
