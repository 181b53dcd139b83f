package join

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// ConfigMap in kube-system tells nodes what the cluster is like.
	ConfigMap = "berth-cluster"
	key       = "cluster.json"
)

// Cluster is what all nodes of a cluster have in common.
type Cluster struct {
	ClusterCIDRs  []string `json:"clusterCIDRs"`
	ServiceCIDRs  []string `json:"serviceCIDRs"`
	ClusterDomain string   `json:"clusterDomain"`
}

// Publish tells nodes about the cluster.
func (c Cluster) Publish(ctx context.Context, client kubernetes.Interface) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	want := map[string]string{key: string(text)}
	have, err := maps.Get(ctx, ConfigMap, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: ConfigMap}, Data: want}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil // another server's, started at the same time
		}
	case err == nil && !equality.Semantic.DeepEqual(have.Data, want):
		have.Data = want
		_, err = maps.Update(ctx, have, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("tell nodes about the cluster: %w", err)
	}
	return nil
}

// ReadCluster is what the servers say.
func ReadCluster(ctx context.Context, client kubernetes.Interface) (Cluster, error) {
	have, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, ConfigMap, metav1.GetOptions{})
	if err != nil {
		return Cluster{}, fmt.Errorf("read what the cluster is like: %w", err)
	}
	var c Cluster
	if err := json.Unmarshal([]byte(have.Data[key]), &c); err != nil {
		return Cluster{}, fmt.Errorf("ConfigMap %s/%s: %w", metav1.NamespaceSystem, ConfigMap, err)
	}
	return c, nil
}
