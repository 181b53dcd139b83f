package volume

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tokensKey is where a driver finds the tokens that it asked for.
const tokensKey = "csi.storage.k8s.io/serviceAccount.tokens"

// republishEvery is how often a driver that asks for it is called again for a
// volume that a pod has, to bring new tokens or contents.
const republishEvery = 90 * time.Second

// tokensFor are tokens of the pod's service account for the audiences that a
// driver's object asks for.
func (v *Volumes) tokensFor(ctx context.Context, pod *corev1.Pod, d *storagev1.CSIDriver) (map[string]string, error) {
	if d == nil || len(d.Spec.TokenRequests) == 0 {
		return nil, nil
	}
	type issued struct {
		Token   string      `json:"token"`
		Expires metav1.Time `json:"expirationTimestamp"`
	}
	tokens := map[string]issued{}
	for _, want := range d.Spec.TokenRequests {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: want.ExpirationSeconds,
			BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
		}}
		if want.Audience != "" {
			request.Spec.Audiences = []string{want.Audience}
		}
		answer, err := v.requestToken(ctx, pod, request)
		if err != nil {
			return nil, fmt.Errorf("kubernetes.io/csi: mounter.SetUpAt failed to get service accoount token attributes: %w", err)
		}
		tokens[want.Audience] = issued{answer.Status.Token, answer.Status.ExpirationTimestamp}
	}
	text, err := json.Marshal(tokens)
	return map[string]string{tokensKey: string(text)}, err
}
