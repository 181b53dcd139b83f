// Package storage puts each served resource on the shared etcd client, with a
// watch cache in front once it is watched. Keys and encoding are upstream's, so that a datastore
// can move between Berth and another Kubernetes.
package storage

import (
	"context"
	"strings"

	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/utils/clock"
)

// Backend builds the storage of resources on one etcd client.
type Backend struct {
	client    *kubernetes.Client
	prefix    string
	compactor compactor
	encrypted value.ResourceTransformers
}

type compactor interface {
	etcd3.Compactor
	Stop()
}

// New makes a Backend that owns client's use and starts compaction, which runs
// until Close.
func New(client *kubernetes.Client, prefix string) *Backend {
	if len(client.Endpoints()) == 0 {
		feature.DefaultFeatureSupportChecker.CheckClient(client.Ctx(), inProcess{}, storage.RequestWatchProgress)
	}
	client.KV = etcd3.NewETCDLatencyTracker(client.KV)
	return &Backend{
		client:    client,
		prefix:    prefix,
		compactor: etcd3.NewCompactor(client.Client, storagebackend.DefaultCompactInterval, clock.RealClock{}, nil),
	}
}

// Encrypt sets how the resources that are asked for after it are stored; nil is
// in plain text.
func (b *Backend) Encrypt(by value.ResourceTransformers) { b.encrypted = by }

// Close stops compaction. The client stays open.
func (b *Backend) Close() { b.compactor.Stop() }

// inProcess answers for an etcd in this process, which has no endpoint that
// could be asked whether it is new enough to report the progress of a watch.
type inProcess struct{}

func (inProcess) Endpoints() []string { return []string{"in-process"} }

func (inProcess) Status(context.Context, string) (*clientv3.StatusResponse, error) {
	return &clientv3.StatusResponse{Version: version.Version}, nil
}

// Options makes the RESTOptions of a resource stored in version gv with codecs.
// Types without a protobuf form are stored as JSON.
func (b *Backend) Options(resource schema.GroupResource, gv schema.GroupVersion, example runtime.Object, codecs serializer.CodecFactory) (generic.RESTOptions, error) {
	mediaType := runtime.ContentTypeJSON
	if _, ok := example.(interface{ Marshal() ([]byte, error) }); ok {
		mediaType = runtime.ContentTypeProtobuf
	}
	codec, versioner, err := serverstorage.NewStorageCodec(serverstorage.StorageCodecConfig{
		StorageMediaType:  mediaType,
		StorageSerializer: codecs,
		StorageVersion:    gv,
		MemoryVersion:     schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal},
	})
	if err != nil {
		return generic.RESTOptions{}, err
	}
	return b.options(resource, codec, versioner, keyPrefix(resource)), nil
}

func (b *Backend) options(resource schema.GroupResource, codec runtime.Codec, versioner runtime.GroupVersioner, key string) generic.RESTOptions {
	config := storagebackend.NewDefaultConfig(b.prefix, codec)
	config.EncodeVersioner = versioner
	config.Transformer = identity.NewEncryptCheckTransformer()
	if b.encrypted != nil {
		config.Transformer = b.encrypted.TransformerForResource(resource)
	}
	decorator := b.cached
	if resource.Resource == "events" {
		decorator = b.uncached // many, short-lived and rarely watched: a cache would cost more than it saves
	}
	return generic.RESTOptions{
		StorageConfig:           config.ForResource(resource),
		Decorator:               decorator,
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: 1,
		ResourcePrefix:          key,
	}
}

// special are the keys that upstream keeps for historical reasons.
var special = map[schema.GroupResource]string{
	{Resource: "nodes"}:                                 "minions",
	{Resource: "services"}:                              "services/specs",
	{Resource: "endpoints"}:                             "services/endpoints",
	{Resource: "replicationcontrollers"}:                "controllers",
	{Group: "networking.k8s.io", Resource: "ingresses"}: "ingress",
}

// keyPrefix is where upstream keeps a resource: built-in ones by their name
// alone, those of other groups below their group.
func keyPrefix(r schema.GroupResource) string {
	if key, ok := special[r]; ok {
		return key
	}
	builtIn := !strings.Contains(r.Group, ".") || strings.HasSuffix(r.Group, ".k8s.io")
	extension := r.Group == "apiextensions.k8s.io" || r.Group == "apiregistration.k8s.io"
	if builtIn && !extension {
		return r.Resource
	}
	return r.Group + "/" + r.Resource
}
