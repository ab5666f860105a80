package apiserver

import (
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// WriteKubeconfig writes a file with which oc and kubectl reach a server: "oc --kubeconfig FILE get is". Commands that
// name no namespace are about that one. Only the file's owner can read it, since it has the client's token. A file that
// is there is replaced, whole or not at all.
func WriteKubeconfig(file string, client *restclient.Config, namespace string) error {
	const name = "imagestreams"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: client.Host, CertificateAuthorityData: client.CAData}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: client.BearerToken}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: namespace}
	config.CurrentContext = name
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return replaceFile(file, data)
}
