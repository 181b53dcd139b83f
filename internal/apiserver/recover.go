package apiserver

import (
	"errors"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"

	"berth.dev/berth/internal/api"
)

// recovered answers a request that breaks the code behind h, as some wrong
// patches do with the libraries that apply them: with status 500 and on a
// connection that lives on, where the library's own recovery cuts it.
func recovered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(reason) // cuts the answer short on purpose
			}
			for _, tell := range utilruntime.PanicHandlers {
				tell(req.Context(), reason)
			}
			responsewriters.ErrorNegotiated(apierrors.NewInternalError(errors.New("this request broke the API server; its log says where")),
				api.Codecs, corev1.SchemeGroupVersion, w, req)
		}()
		h.ServeHTTP(w, req)
	})
}
