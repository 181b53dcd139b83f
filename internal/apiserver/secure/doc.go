// Package secure makes an API server's configuration secure: it joins the
// certificates, authentication, authorization, admission and the default
// namespaces, roles and bindings into it.
package secure
