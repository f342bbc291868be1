package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// contextName is the context of both kubeconfigs.
const contextName = "magus-test"

// newProxy forwards everything to the apiserver as an administrator. It answers watches as they
// come, because the standard proxy flushes what has no length.
func newProxy(server *apiserver) (http.Handler, error) {
	target, err := url.Parse(server.url)
	if err != nil {
		return nil, err
	}
	// Brings TLS with our authority, and puts the token on every request.
	transport, err := rest.TransportFor(server.administrator())
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			// A client's own login would count instead of the administrator's.
			request.Out.Header.Del("Authorization")
		},
		Transport: transport,
	}, nil
}

// writeKubeconfigs writes one file for the apiserver with certificate authority and token, and one
// for the address without either.
func writeKubeconfigs(server *apiserver, line ready) error {
	login := &api.AuthInfo{Token: server.token}
	secure := &api.Cluster{Server: line.URL, CertificateAuthorityData: server.authority}
	if err := writeKubeconfig(line.Kubeconfig, secure, login); err != nil {
		return err
	}
	return writeKubeconfig(line.HTTPKubeconfig, &api.Cluster{Server: line.HTTP}, &api.AuthInfo{})
}

func writeKubeconfig(path string, cluster *api.Cluster, login *api.AuthInfo) error {
	config := api.NewConfig()
	config.Clusters[contextName] = cluster
	config.AuthInfos[contextName] = login
	config.Contexts[contextName] = &api.Context{Cluster: contextName, AuthInfo: contextName}
	config.CurrentContext = contextName
	return clientcmd.WriteToFile(*config, path)
}
