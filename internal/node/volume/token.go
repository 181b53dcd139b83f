package volume

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// oldest is when a token is renewed however long it would be valid.
const oldest = 24 * time.Hour

// token is a service account's token bound to one pod.
type token struct {
	text  string
	renew time.Time
}

// token returns the token that the volume at path shows while it is fresh,
// else a new one. It is renewed when 80 % of its life have passed.
func (v *Volumes) token(ctx context.Context, pod *corev1.Pod, src *corev1.ServiceAccountTokenProjection, path string) (token, error) {
	if err := checkFileName(src.Path); err != nil {
		return token{}, err
	}
	life := time.Hour
	if src.ExpirationSeconds != nil {
		life = time.Duration(*src.ExpirationSeconds) * time.Second
	}
	if text, err := os.ReadFile(filepath.Join(path, dataLink, src.Path)); err == nil {
		t, err := readToken(string(text), pod, src.Audience, life)
		if err == nil && v.cfg.Clock.Now().Before(t.renew) {
			return t, nil
		}
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: src.ExpirationSeconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
		},
	}}
	if src.Audience != "" {
		request.Spec.Audiences = []string{src.Audience}
	}
	now := v.cfg.Clock.Now()
	answer, err := v.requestToken(ctx, pod, request)
	if err != nil {
		return token{}, fmt.Errorf("failed to fetch token: %w", err)
	}
	if expires := answer.Status.ExpirationTimestamp; !expires.IsZero() {
		life = expires.Sub(now)
	}
	return token{answer.Status.Token, renewAt(now, life)}, nil
}

// requestToken asks for a token, again for a moment when it is refused: the
// API server may not have seen yet that the pod is on this node.
func (v *Volumes) requestToken(ctx context.Context, pod *corev1.Pod, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	name := pod.Spec.ServiceAccountName
	if name == "" {
		name = "default"
	}
	accounts := v.cfg.Client.CoreV1().ServiceAccounts(pod.Namespace)
	deadline := v.cfg.Clock.Now().Add(v.cfg.missingWait)
	for delay := 10 * time.Millisecond; ; delay *= 2 {
		answer, err := accounts.CreateToken(ctx, name, request, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) || v.cfg.Clock.Now().After(deadline) {
			return answer, err
		}
		pause := v.cfg.Clock.NewTimer(delay)
		select {
		case <-pause.C():
		case <-ctx.Done():
			pause.Stop()
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

func renewAt(issued time.Time, life time.Duration) time.Time {
	return issued.Add(min(life*8/10, oldest))
}

// readToken reads when a token that we wrote earlier must be renewed. It is
// not verified: we only decide whether it may stay.
func readToken(text string, pod *corev1.Pod, audience string, life time.Duration) (token, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return token{}, errors.New("not a JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return token{}, err
	}
	var claims struct {
		Issued     int64     `json:"iat"`
		Expires    int64     `json:"exp"`
		Audience   audiences `json:"aud"`
		Kubernetes struct {
			Pod struct {
				UID string `json:"uid"`
			} `json:"pod"`
		} `json:"kubernetes.io"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return token{}, err
	}
	if claims.Kubernetes.Pod.UID != string(pod.UID) || (audience != "" && !slices.Equal(claims.Audience, audiences{audience})) {
		return token{}, errors.New("made for something else")
	}
	// The server may let a token live longer than asked for; that is a grace
	// period for clients that never read the file again, not a reason to keep it.
	issued := time.Unix(claims.Issued, 0)
	return token{text, renewAt(issued, min(life, time.Unix(claims.Expires, 0).Sub(issued)))}, nil
}

// audiences is one string or a list of them, as JWTs have it.
type audiences []string

func (a *audiences) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// guarded is a file of a projected volume that is readable for the pod's own
// user alone when that is one user, or when a group is going to be allowed to
// read it.
func guarded(pod *corev1.Pod, data []byte, mode os.FileMode) file {
	f := file{data: data, mode: mode, uid: onlyUser(pod)}
	if f.uid != nil || fsGroup(pod) != nil {
		f.mode = 0o600
	}
	return f
}

// onlyUser is the user that all containers of the pod run as, if it is said
// and is one.
func onlyUser(pod *corev1.Pod) *int64 {
	var podUser, found *int64
	if pod.Spec.SecurityContext != nil {
		podUser = pod.Spec.SecurityContext.RunAsUser
	}
	contexts := make([]*corev1.SecurityContext, 0, len(pod.Spec.Containers))
	for i := range pod.Spec.InitContainers {
		contexts = append(contexts, pod.Spec.InitContainers[i].SecurityContext)
	}
	for i := range pod.Spec.Containers {
		contexts = append(contexts, pod.Spec.Containers[i].SecurityContext)
	}
	for i := range pod.Spec.EphemeralContainers {
		contexts = append(contexts, pod.Spec.EphemeralContainers[i].SecurityContext)
	}
	for _, sc := range contexts {
		user := podUser
		if sc != nil && sc.RunAsUser != nil {
			user = sc.RunAsUser
		}
		if user == nil || (found != nil && *found != *user) {
			return nil
		}
		found = user
	}
	return found
}
