package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"path"
	"sort"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// entry is one registry's credentials in a docker configuration.
type entry struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
}

// credentials are the ones to try in turn: those of the pod's pull secrets that
// fit the image, the closest first, or none at all.
func (p *Puller) credentials(ctx context.Context, pod *corev1.Pod, name string) []*runtimeapi.AuthConfig {
	type match struct {
		key  string
		auth *runtimeapi.AuthConfig
	}
	var matches []match
	for _, ref := range pod.Spec.ImagePullSecrets {
		secret, err := p.client.CoreV1().Secrets(pod.Namespace).Get(ctx, ref.Name, metav1.GetOptions{ResourceVersion: "0"})
		if err != nil {
			continue // as upstream: a missing secret only matters if the pull fails without it
		}
		for key, e := range entries(secret) {
			if auth := e.auth(); auth != nil && fits(key, name) {
				matches = append(matches, match{key, auth})
			}
		}
	}
	sort.SliceStable(matches, func(i, j int) bool { return len(matches[i].key) > len(matches[j].key) })
	var out []*runtimeapi.AuthConfig
	for _, m := range matches {
		out = append(out, m.auth)
	}
	if len(out) == 0 {
		out = append(out, nil)
	}
	return out
}

func entries(secret *corev1.Secret) map[string]entry {
	if raw := secret.Data[corev1.DockerConfigJsonKey]; secret.Type == corev1.SecretTypeDockerConfigJson && raw != nil {
		var file struct {
			Auths map[string]entry `json:"auths"`
		}
		if json.Unmarshal(raw, &file) == nil {
			return file.Auths
		}
	}
	if raw := secret.Data[corev1.DockerConfigKey]; secret.Type == corev1.SecretTypeDockercfg && raw != nil {
		var file map[string]entry
		if json.Unmarshal(raw, &file) == nil {
			return file
		}
	}
	return nil
}

func (e entry) auth() *runtimeapi.AuthConfig {
	if e.Auth != "" {
		if raw, err := base64.StdEncoding.DecodeString(e.Auth); err == nil {
			if user, password, ok := strings.Cut(string(raw), ":"); ok {
				e.Username, e.Password = user, strings.TrimRight(password, "\x00")
			}
		}
	}
	if e.Username == "" && e.IdentityToken == "" {
		return nil
	}
	return &runtimeapi.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken}
}

// fits says whether a key of a docker configuration (host, or host and path,
// with * in the labels of the host) covers an image.
func fits(key, name string) bool {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return false
	}
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, rest, _ := strings.Cut(strings.TrimSuffix(key, "/"), "/")
	if rest == "v1" || rest == "v2" {
		rest = ""
	}
	if host == "index.docker.io" {
		host = "docker.io"
	}
	domain := reference.Domain(named)
	if strings.Count(host, ".") != strings.Count(domain, ".") {
		return false
	}
	if ok, err := path.Match(host, domain); err != nil || !ok {
		return false
	}
	return rest == "" || reference.Path(named) == rest || strings.HasPrefix(reference.Path(named), rest+"/")
}
