package all_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	"k8s.io/utils/ptr"
)

// TestNamespaceWhileAnAPIIsDown has an API service that nobody serves: what it
// might hold keeps the namespace, everything else goes, and the namespace says so.
func TestNamespaceWhileAnAPIIsDown(t *testing.T) {
	h := openHarbour(t)
	services, err := aggregator.NewForConfig(h.Config)
	must(t, err)
	dead, err := services.ApiregistrationV1().APIServices().Create(h.ctx, &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: "v1beta1.dead.example.org"},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: "dead.example.org", Version: "v1beta1", GroupPriorityMinimum: 100, VersionPriority: 100, InsecureSkipTLSVerify: true,
			Service: &apiregistrationv1.ServiceReference{Namespace: "default", Name: "nobody", Port: ptr.To(int32(443))},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	h.until("the API to be down", func() bool {
		dead, err = services.ApiregistrationV1().APIServices().Get(h.ctx, dead.Name, metav1.GetOptions{})
		must(t, err)
		return len(dead.Status.Conditions) > 0 && dead.Status.Conditions[0].Status == apiregistrationv1.ConditionFalse
	})
	namespaces := h.Client.CoreV1().Namespaces()
	_, err = namespaces.Create(h.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	must(t, err)
	_, err = h.Client.CoreV1().ConfigMaps("shop").Create(h.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{})
	must(t, err)
	must(t, namespaces.Delete(h.ctx, "shop", metav1.DeleteOptions{}))
	const want = "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: " +
		"dead.example.org/v1beta1: stale GroupVersion discovery: dead.example.org/v1beta1"
	h.until("the namespace to say so", func() bool {
		ns, err := namespaces.Get(h.ctx, "shop", metav1.GetOptions{})
		must(t, err)
		for _, c := range ns.Status.Conditions {
			if c.Type == corev1.NamespaceDeletionDiscoveryFailure && c.Status == corev1.ConditionTrue {
				if c.Reason != "DiscoveryFailed" || c.Message != want {
					t.Fatalf("%s: %s\nwant %s", c.Reason, c.Message, want)
				}
				return true
			}
		}
		return false
	})
	h.until("the rest to go", func() bool {
		_, err := h.Client.CoreV1().ConfigMaps("shop").Get(h.ctx, "c", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	must(t, services.ApiregistrationV1().APIServices().Delete(h.ctx, dead.Name, metav1.DeleteOptions{}))
	h.until("the namespace to go", func() bool {
		_, err := namespaces.Get(h.ctx, "shop", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}
