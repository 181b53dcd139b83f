package admission

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
)

// requestFor is a request for a certificate of name in group.
func requestFor(t *testing.T, signer, name, group string) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: []string{group}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "r"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: signer, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		},
	}
}

// may lets user do verb with names of signers.
func may(user, verb string, names ...string) []runtime.Object {
	name := user + "-" + verb
	return []runtime.Object{
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{
			Verbs: []string{verb}, APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"signers"}, ResourceNames: names,
		}}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{{Kind: "User", Name: user}},
		},
	}
}

func TestSigners(t *testing.T) {
	var rights []runtime.Object
	rights = append(rights, may("ann", "approve", "example.com/a")...)
	rights = append(rights, may("ann", "sign", "example.com/*")...)
	rights = append(rights, may("ann", "attest", "example.com/a")...)
	s := newSetup(t, rights...)
	const client = certificatesv1.KubeAPIServerClientSignerName
	old := requestFor(t, "example.com/a", "x", "y")
	judged, certified, labelled := old.DeepCopy(), old.DeepCopy(), old.DeepCopy()
	judged.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue}}
	judged.Spec.SignerName = "example.com/b" // counts for nothing
	certified.Status.Certificate = []byte("x")
	labelled.Labels = map[string]string{"a": "b"}
	bundle := func(signer string) *certificatesv1.ClusterTrustBundle {
		return &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer}}
	}
	collected := bundle("example.com/a")
	collected.Finalizers = []string{"example.com/f"}
	podRequest := &certificatesv1.PodCertificateRequest{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: certificatesv1.PodCertificateRequestSpec{SignerName: "example.com/a"}}
	denied := podRequest.DeepCopy()
	denied.Status.Conditions = []metav1.Condition{{Type: "Denied"}}
	const requests, bundles, podRequests = "certificates.k8s.io/certificatesigningrequests/", "certificates.k8s.io/clustertrustbundles/", "certificates.k8s.io/podcertificaterequests/"
	for name, c := range map[string]struct {
		r       request
		refusal string
	}{
		"masters":             {request{op: admission.Create, resource: requests, obj: requestFor(t, client, "x", "system:masters")}, "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"},
		"others":              {request{op: admission.Create, resource: requests, obj: requestFor(t, client, "x", "y")}, ""},
		"masters of others":   {request{op: admission.Create, resource: requests, obj: requestFor(t, "example.com/a", "x", "system:masters")}, ""},
		"approval":            {request{op: admission.Update, resource: requests + "approval", obj: judged, old: old, user: "ann"}, ""},
		"approval by nobody":  {request{op: admission.Update, resource: requests + "approval", obj: judged, old: old, user: "bob"}, `user not permitted to approve requests with signerName "example.com/a"`},
		"signing":             {request{op: admission.Update, resource: requests + "status", obj: certified, old: old, user: "ann"}, ""},
		"signing by nobody":   {request{op: admission.Update, resource: requests + "status", obj: certified, old: old, user: "bob"}, `user not permitted to sign requests with signerName "example.com/a"`},
		"status unchanged":    {request{op: admission.Update, resource: requests + "status", obj: labelled, old: old, user: "bob"}, ""},
		"bundle":              {request{op: admission.Create, resource: bundles, obj: bundle("example.com/a"), user: "ann"}, ""},
		"bundle of another":   {request{op: admission.Create, resource: bundles, obj: bundle("example.com/b"), user: "ann"}, `user not permitted to attest for signerName "example.com/b"`},
		"bundle of nobody":    {request{op: admission.Create, resource: bundles, obj: bundle(""), user: "bob"}, ""},
		"bundle is collected": {request{op: admission.Update, resource: bundles, obj: collected, old: bundle("example.com/a"), user: "bob"}, ""},
		"pod request":         {request{op: admission.Update, resource: podRequests + "status", obj: denied, old: podRequest, user: "ann"}, ""},
		"pod request by nobody": {
			request{op: admission.Update, resource: podRequests + "status", obj: denied, old: podRequest, user: "bob"},
			`"p" is invalid: spec.signerName: Forbidden: User "bob" is not permitted to "sign" for signer "example.com/a"`,
		},
	} {
		t.Run(name, func(t *testing.T) { expect(t, s.do(t, c.r), c.refusal) })
	}
}

func TestNodesCertificates(t *testing.T) {
	running := pod(func(p *corev1.Pod) {
		p.UID, p.Spec.NodeName, p.Spec.ServiceAccountName = "p-uid", "n1", "default"
		p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{PodCertificate: &corev1.PodCertificateProjection{SignerName: "example.com/a"}},
		}}}}}
	})
	s := newSetup(t, account("default"), running, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "n1-uid"}})
	ask := func(change func(*certificatesv1.PodCertificateRequestSpec)) request {
		r := &certificatesv1.PodCertificateRequest{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "ns"}, Spec: certificatesv1.PodCertificateRequestSpec{
			SignerName: "example.com/a", PodName: "p", PodUID: "p-uid", ServiceAccountName: "default", ServiceAccountUID: "u", NodeName: "n1", NodeUID: "n1-uid",
		}}
		change(&r.Spec)
		return request{op: admission.Create, resource: "certificates.k8s.io/podcertificaterequests/", obj: r, user: "system:node:n1", groups: []string{"system:nodes"}}
	}
	certificate := func(signer, name string) request {
		return request{
			op: admission.Create, resource: "certificates.k8s.io/certificatesigningrequests/", obj: requestFor(t, signer, name, "system:nodes"),
			user: "system:node:n1", groups: []string{"system:nodes"},
		}
	}
	for name, c := range map[string]struct {
		r       request
		refusal string
	}{
		"own":             {certificate(certificatesv1.KubeletServingSignerName, "system:node:n1"), ""},
		"another's":       {certificate(certificatesv1.KubeletServingSignerName, "system:node:n2"), "can only create a node CSR with CN=system:node:n1"},
		"own signer":      {certificate("example.com/a", "x"), ""},
		"pod":             {ask(func(*certificatesv1.PodCertificateRequestSpec) {}), ""},
		"node":            {ask(func(s *certificatesv1.PodCertificateRequestSpec) { s.NodeName = "n2" }), `PodCertificateRequest.Spec.NodeName="n2", which is not the requesting node "n1"`},
		"node uid":        {ask(func(s *certificatesv1.PodCertificateRequestSpec) { s.NodeUID = "x" }), `names node UID ("x"), inconsistent with the running node ("n1-uid")`},
		"pod uid":         {ask(func(s *certificatesv1.PodCertificateRequestSpec) { s.PodUID = "x" }), `contains pod UID ("x") which differs from running pod "p-uid"`},
		"account":         {ask(func(s *certificatesv1.PodCertificateRequestSpec) { s.ServiceAccountName = "x" }), `contains serviceAccountName ("x") that differs from running pod ("default")`},
		"account uid":     {ask(func(s *certificatesv1.PodCertificateRequestSpec) { s.ServiceAccountUID = "x" }), `names service account UID ("x"), which differs from the running service account ("u")`},
		"unmounted":       {ask(func(s *certificatesv1.PodCertificateRequestSpec) { s.SignerName = "example.com/b" }), `does not mount a podCertificate projected volume for signer "example.com/b"`},
		"pod that is not": {ask(func(s *certificatesv1.PodCertificateRequestSpec) { s.PodName = "q" }), `pods "q" not found`},
	} {
		t.Run(name, func(t *testing.T) { expect(t, s.do(t, c.r), c.refusal) })
	}
}
