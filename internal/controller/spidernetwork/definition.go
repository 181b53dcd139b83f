package spidernetwork

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/attachment"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

const multusConfig = "SpiderMultusConfig"

// definition keeps the definition of one network.
func (c *controller) definition(ctx context.Context, key types.NamespacedName) error {
	config := &spiderpoolv2beta1.SpiderMultusConfig{}
	if err := c.env.Cache.Get(ctx, key, config); err != nil || config.DeletionTimestamp != nil {
		return client.IgnoreNotFound(err)
	}
	text, err := attachment.Config(config)
	if err != nil {
		c.env.Events.Event(config, corev1.EventTypeWarning, "InvalidConfig", err.Error())
		return nil
	}
	name := types.NamespacedName{Namespace: key.Namespace, Name: attachment.Name(config)}
	have := &cniv1.NetworkAttachmentDefinition{}
	err = c.env.Cache.Get(ctx, name, have)
	switch {
	case apierrors.IsNotFound(err):
		want := &cniv1.NetworkAttachmentDefinition{
			ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, OwnerReferences: []metav1.OwnerReference{ownerOf(config)}},
			Spec:       cniv1.NetworkAttachmentDefinitionSpec{Config: text},
		}
		err := c.env.Write.Create(ctx, want)
		if err == nil || apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil
		}
		return fmt.Errorf("make NetworkAttachmentDefinition %s: %w", name, err)
	case err != nil:
		return err
	}
	if owner := metav1.GetControllerOfNoCopy(have); owner != nil && owner.UID != config.UID {
		c.env.Events.Event(config, corev1.EventTypeWarning, "NameTaken",
			fmt.Sprintf("NetworkAttachmentDefinition %s belongs to %s %s", name.Name, owner.Kind, owner.Name))
		return nil
	}
	if have.Spec.Config == text && metav1.IsControlledBy(have, config) {
		return nil
	}
	have = have.DeepCopy()
	have.Spec.Config = text
	if !metav1.IsControlledBy(have, config) {
		have.OwnerReferences = append(have.OwnerReferences, ownerOf(config))
	}
	if err := c.env.Write.Update(ctx, have); err != nil {
		return fmt.Errorf("change NetworkAttachmentDefinition %s: %w", name, err)
	}
	return nil
}

func ownerOf(config *spiderpoolv2beta1.SpiderMultusConfig) metav1.OwnerReference {
	return *metav1.NewControllerRef(config, spiderpoolv2beta1.SchemeGroupVersion.WithKind(multusConfig))
}
