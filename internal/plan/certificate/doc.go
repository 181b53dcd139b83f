// Package certificate decides about CertificateSigningRequests: which may be
// approved and what has to be asked first, which are signed and with what
// template, which fail, and when each of them is deleted.
//
// The signers are upstream's, all with the cluster's one authority:
//
//	kubernetes.io/kube-apiserver-client          anybody's client certificate; people approve
//	kubernetes.io/kube-apiserver-client-kubelet  a node's client certificate; approved after an access review
//	kubernetes.io/kubelet-serving                a node's serving certificate; approved when it names that node only
//	kubernetes.io/legacy-unknown                 what older versions stored; people approve, anything is signed
//
// Requests of other signers are left to those, and only deleted in time.
package certificate
