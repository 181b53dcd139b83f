package apiserver

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver/registry"
	"berth.dev/berth/internal/apiserver/registry/addresspool"
	"berth.dev/berth/internal/apiserver/registry/pod"
	"berth.dev/berth/internal/apiserver/storage"
)

// groups builds the endpoints of all API groups.
type groups struct {
	server *Server
	mains  map[string]*registry.Main // by resource.group
	agents *pod.Nodes                // nil if pods or nodes are not served
	guard  *addresspool.Guard
}

// endpoints are the REST storages of one group version by resource name.
type endpoints map[string]rest.Storage

func (g *groups) build() ([]*genericapiserver.APIGroupInfo, error) {
	g.mains = map[string]*registry.Main{}
	kinds := g.server.config.Kinds
	getter := storage.Typed{Backend: g.server.backend, Codecs: api.Codecs, Versions: map[schema.GroupResource]schema.GroupVersion{}}
	for _, k := range kinds {
		stored := k.StoredAs
		if stored.Empty() {
			stored = k.GVK.GroupVersion()
		}
		getter.Versions[k.GVK.GroupVersion().WithResource(k.Resource).GroupResource()] = stored
	}
	all := map[schema.GroupVersion]endpoints{}
	var order []schema.GroupVersion
	at := func(gv schema.GroupVersion) endpoints {
		if all[gv] == nil {
			all[gv] = endpoints{}
			order = append(order, gv)
		}
		return all[gv]
	}
	for _, k := range kinds {
		main, err := g.endpoint(k, getter)
		if err != nil {
			return nil, fmt.Errorf("apiserver: %s: %w", k.Resource, err)
		}
		to := at(k.GVK.GroupVersion())
		to[k.Resource] = main
		if k.HasStatus {
			to[k.Resource+"/status"] = registry.NewStatus(k, main.Store)
		}
		if k.Scale != nil {
			to[k.Resource+"/scale"] = registry.NewScale(k, main.Store)
		}
		for _, p := range k.Parts {
			to[k.Resource+"/"+p.Name] = registry.NewPart(k, p, main.Store)
		}
	}
	if err := g.special(at); err != nil {
		return nil, err
	}
	more, err := g.server.extraStorage()
	if err != nil {
		return nil, err
	}
	for gv, more := range more {
		for name, s := range more {
			at(gv)[name] = s
		}
	}
	return g.infos(order, all), nil
}

// endpoint is the main endpoint of k: its own, or that of another version.
func (g *groups) endpoint(k api.Kind, getter generic.RESTOptionsGetter) (*registry.Main, error) {
	resource := k.GVK.GroupVersion().WithResource(k.Resource).GroupResource().String()
	if k.Repeated() && g.mains[resource] != nil {
		return g.mains[resource], nil
	}
	main, err := g.main(k, getter)
	if err != nil {
		return nil, err
	}
	g.mains[resource] = main
	g.server.ready = append(g.server.ready, main.ReadinessCheck)
	g.server.counted = append(g.server.counted, main.Store)
	g.server.destroy = append(g.server.destroy, main.Destroy)
	return main, nil
}

// infos joins the versions of a group.
func (g *groups) infos(order []schema.GroupVersion, all map[schema.GroupVersion]endpoints) []*genericapiserver.APIGroupInfo {
	byGroup := map[string]*genericapiserver.APIGroupInfo{}
	var out []*genericapiserver.APIGroupInfo
	for _, gv := range order {
		info := byGroup[gv.Group]
		if info == nil {
			made := genericapiserver.NewDefaultAPIGroupInfo(gv.Group, api.Scheme, api.ParameterCodec, api.Codecs)
			info = &made
			byGroup[gv.Group] = info
			out = append(out, info)
		}
		info.VersionedResourcesStorageMap[gv.Version] = all[gv]
		if !g.protobuf(gv) {
			info.NegotiatedSerializer = withoutProtobuf{info.NegotiatedSerializer}
		}
	}
	return out
}

// protobuf says whether all kinds of gv have a protobuf form.
func (g *groups) protobuf(gv schema.GroupVersion) bool {
	for _, k := range g.server.config.Kinds {
		if _, ok := k.New().(interface{ Marshal() ([]byte, error) }); !ok && k.GVK.GroupVersion() == gv {
			return false
		}
	}
	return true
}

// withoutProtobuf makes clients that prefer protobuf fall back to JSON.
type withoutProtobuf struct{ runtime.NegotiatedSerializer }

func (n withoutProtobuf) SupportedMediaTypes() []runtime.SerializerInfo {
	var out []runtime.SerializerInfo
	for _, info := range n.NegotiatedSerializer.SupportedMediaTypes() {
		if info.MediaType != runtime.ContentTypeProtobuf {
			out = append(out, info)
		}
	}
	return out
}
