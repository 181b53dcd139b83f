package pki

import (
	"bytes"

	"berth.dev/berth/internal/base/datadir"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig is a kubeconfig with one cluster and one user, both certificates inside.
type Kubeconfig struct {
	// Server is the URL of the API server, for example https://127.0.0.1:6443.
	Server string
	CAPEM  []byte
	Client Pair
	// Cluster, User and Context are the names in the file; empty ones become
	// "berth", "admin" and "berth".
	Cluster, User, Context string
}

// Encode returns the file's content.
func (k Kubeconfig) Encode() ([]byte, error) {
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	cluster, user, name := or(k.Cluster, "berth"), or(k.User, "admin"), or(k.Context, "berth")
	config := clientcmdapi.NewConfig()
	config.Clusters[cluster] = &clientcmdapi.Cluster{Server: k.Server, CertificateAuthorityData: k.CAPEM}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: k.Client.CertPEM, ClientKeyData: k.Client.KeyPEM}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: user}
	config.CurrentContext = name
	return clientcmd.Write(*config)
}

// WriteKubeconfig writes k to path (0600) unless the file already says the same.
func WriteKubeconfig(path string, k Kubeconfig) error {
	want, err := k.Encode()
	if err != nil {
		return err
	}
	if have, err := readFile(path); err == nil && bytes.Equal(have, want) {
		return nil
	}
	return datadir.WriteFile(path, want)
}
