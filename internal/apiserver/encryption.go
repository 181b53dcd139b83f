package apiserver

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/apiserver/pkg/storage/value"
)

// Encryption says how stored objects are encrypted; without a file they are not.
type Encryption struct {
	// File is an EncryptionConfiguration (apiserver.config.k8s.io/v1).
	File string
	// Reload watches the file, so that a key is rotated without a restart.
	Reload bool
}

// encryption is what the file says now.
type encryption struct {
	transformers value.ResourceTransformers
	checks       []healthz.HealthChecker
	// keep reloads the file until its context ends; nil when it need not be.
	keep func(context.Context)
}

func (s *Server) encryption() (*encryption, error) {
	e := s.config.Encryption
	if e.File == "" {
		return &encryption{}, nil
	}
	running := wait.ContextForChannel(s.stopped)
	inUse, release := context.WithCancel(running)
	config, err := encryptionconfig.LoadEncryptionConfig(inUse, e.File, e.Reload, "")
	if err != nil {
		release()
		return nil, fmt.Errorf("apiserver: encryption of stored data: %s: %w", e.File, err)
	}
	if !e.Reload {
		context.AfterFunc(running, release)
		return &encryption{transformers: encryptionconfig.StaticTransformers(config.Transformers), checks: config.HealthChecks}, nil
	}
	dynamic := encryptionconfig.NewDynamicTransformers(config.Transformers, config.HealthChecks[0], release, config.KMSCloseGracePeriod)
	reload := controller.NewDynamicEncryptionConfiguration("encryption-provider-config", e.File, dynamic, config.EncryptionFileContentHash, "")
	return &encryption{transformers: dynamic, checks: []healthz.HealthChecker{dynamic}, keep: reload.Run}, nil
}

// addTo makes the key services' health part of the server's, but not of its
// liveness: a restart does not bring a key service back.
func (e *encryption) addTo(c *genericapiserver.Config) {
	c.HealthzChecks = append(c.HealthzChecks, e.checks...)
	c.ReadyzChecks = append(c.ReadyzChecks, e.checks...)
}
