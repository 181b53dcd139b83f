package fuzz

import (
	"net/http"
	"testing"
)

// An object that can be read is not deleted without a look at it, whatever its kind.
func TestUnsafeDeletionOfWhatIsWhole(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/api/v1/namespaces/default", "/api/v1/nodes/n1"} {
		a := w.memory.send(t, request{Method: "DELETE", Path: path, Query: "ignoreStoreReadErrorWithClusterBreakingPotential=true", Header: http.Header{}})
		if a.Code < 400 || a.Code >= 500 {
			t.Errorf("%s: %d %s", path, a.Code, a.Body)
		}
	}
}
