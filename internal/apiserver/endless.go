package apiserver

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/api/quantity"
)

// guarded refuses requests with a quantity that would be read for ever. The
// body is looked at before the decoder has it, as nothing can end the decoder.
func guarded(h http.Handler, kinds []api.Kind, limit int64) http.Handler {
	expected := map[schema.GroupVersionResource]reflect.Type{}
	for _, k := range kinds {
		expected[k.GVK.GroupVersion().WithResource(k.Resource)] = reflect.TypeOf(k.New()).Elem()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		info, ok := request.RequestInfoFrom(req.Context())
		if !ok || !info.IsResourceRequest || req.Body == nil || req.Body == http.NoBody || streams(info.Subresource) ||
			!api.Scheme.IsGroupRegistered(info.APIGroup) {
			h.ServeHTTP(w, req)
			return
		}
		resource := schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource}
		text, err := io.ReadAll(io.LimitReader(req.Body, limit+1))
		req.Body = reread{io.MultiReader(bytes.NewReader(text), failure{err}, req.Body), req.Body}
		media, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
		if err := quantity.InBody(media, text, expected[resource], kindNamed); err != nil {
			err = apierrors.NewBadRequest(fmt.Sprintf("the %s in version %q cannot be read: %v", info.Resource, info.APIVersion, err))
			responsewriters.ErrorNegotiated(err, api.Codecs, corev1.SchemeGroupVersion, w, req)
			return
		}
		h.ServeHTTP(w, req)
	})
}

// streams says whether requests to this subresource are passed on.
func streams(subresource string) bool {
	switch subresource {
	case "proxy", "exec", "attach", "portforward", "log":
		return true
	}
	return false
}

func kindNamed(apiVersion, kind string) reflect.Type {
	obj, err := api.Scheme.New(schema.FromAPIVersionAndKind(apiVersion, kind))
	if err != nil {
		return nil
	}
	return reflect.TypeOf(obj).Elem()
}

// reread is a body of which the beginning has been read already.
type reread struct {
	io.Reader
	io.Closer
}

// failure repeats the error, if any, that reading has met.
type failure struct{ error }

func (f failure) Read([]byte) (int, error) {
	if f.error == nil {
		return 0, io.EOF
	}
	return 0, f.error
}
