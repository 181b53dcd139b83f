// Package volumeindex finds the PersistentVolumes that a claim may get, without
// a look at all those that others have.
package volumeindex

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// holder is the index of volumes by the claim that they are reserved for.
const holder = "spec.claimRef"

// nobody is the key of volumes that are reserved for no claim; no claim is
// called so, as each has its namespace before its name.
const nobody = "-"

// ByHolder finds the volumes that are reserved for a claim, and those for none.
func ByHolder() loop.Index {
	return loop.Index{Kind: &corev1.PersistentVolume{}, Field: holder, Keys: func(o client.Object) []string {
		if ref := o.(*corev1.PersistentVolume).Spec.ClaimRef; ref != nil {
			return []string{ref.Namespace + "/" + ref.Name}
		}
		return []string{nobody}
	}}
}

// Offered returns the volumes that claims may get: those that no claim has, and
// those that are reserved for one of them. They are shared: never change them.
func Offered(ctx context.Context, read client.Reader, claims ...*corev1.PersistentVolumeClaim) ([]*corev1.PersistentVolume, error) {
	keys := []string{nobody}
	for _, c := range claims {
		keys = append(keys, c.Namespace+"/"+c.Name)
	}
	var all []*corev1.PersistentVolume
	for _, key := range keys {
		some, err := loop.List[*corev1.PersistentVolume](ctx, read, &corev1.PersistentVolumeList{}, client.MatchingFields{holder: key})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
