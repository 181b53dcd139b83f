package addresspool

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"berth.dev/berth/internal/apiserver/registry"
	"berth.dev/berth/internal/datastore"
)

// Endpoint serves pools or subnets: a change that another server's passed is
// checked again.
type Endpoint struct{ *registry.Main }

// Create implements rest.Creater.
func (e Endpoint) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	for {
		out, err := e.Main.Create(datastore.WithTurn(ctx), obj.DeepCopyObject(), validate, options)
		if !errors.Is(err, datastore.ErrTurn) || ctx.Err() != nil {
			return out, err
		}
	}
}

// Update implements rest.Updater.
func (e Endpoint) Update(ctx context.Context, name string, is rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, force bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	for {
		out, created, err := e.Main.Update(datastore.WithTurn(ctx), name, is, create, update, force, options)
		if !errors.Is(err, datastore.ErrTurn) || ctx.Err() != nil {
			return out, created, err
		}
	}
}
