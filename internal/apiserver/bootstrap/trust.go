package bootstrap

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// trustName is where aggregated API servers read whom the API server believes.
const trustName = "extension-apiserver-authentication"

// Trust is whom the API server believes, for those that it speaks to for others.
type Trust struct {
	ClientCA, FrontProxyCA []byte // PEM
	Names                  []string
	User, UID, Group       string // headers of a front proxy
	ExtraPrefix            string
}

// Publish writes kube-system/extension-apiserver-authentication. Authorities
// that are there already stay until they expire: others may still use them.
func (t Trust) Publish(ctx context.Context, client kubernetes.Interface, now time.Time) error {
	api := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	have, err := api.Get(ctx, trustName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = api.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: trustName}, Data: t.data(nil, now),
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return t.Publish(ctx, client, now)
		}
	case err == nil:
		data := t.data(have.Data, now)
		if maps.Equal(data, have.Data) {
			return nil
		}
		next := have.DeepCopy()
		next.Data = data
		_, err = api.Update(ctx, next, updateOptions)
	}
	if err != nil {
		return fmt.Errorf("writing config map %s/%s: %w", metav1.NamespaceSystem, trustName, err)
	}
	return nil
}

func (t Trust) data(have map[string]string, now time.Time) map[string]string {
	list := func(values ...string) string {
		text, _ := json.Marshal(values) // of strings: does not fail
		return string(text)
	}
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	out["client-ca-file"] = joined(have["client-ca-file"], t.ClientCA, now)
	if len(t.FrontProxyCA) > 0 {
		out["requestheader-client-ca-file"] = joined(have["requestheader-client-ca-file"], t.FrontProxyCA, now)
		out["requestheader-allowed-names"] = list(t.Names...)
		out["requestheader-username-headers"] = list(t.User)
		out["requestheader-uid-headers"] = list(t.UID)
		out["requestheader-group-headers"] = list(t.Group)
		out["requestheader-extra-headers-prefix"] = list(t.ExtraPrefix)
	}
	return out
}

// joined is the PEM of both, each authority once, without those that expired.
func joined(have string, add []byte, now time.Time) string {
	var out bytes.Buffer
	seen := map[string]bool{}
	for rest := append([]byte(have+"\n"), add...); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return out.String()
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil || ca.NotAfter.Before(now) || seen[string(block.Bytes)] {
			continue
		}
		seen[string(block.Bytes)] = true
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}) // to memory: does not fail
	}
}
