package kubeserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// certificates makes an authority, and with it a server's certificate and that of a user who may do everything. It
// sets those of s, and returns the files of the server.
func (s *Server) certificates() (map[string][]byte, error) {
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, private.Public(), private)
	if err != nil {
		return nil, err
	}
	issue := func(serial int64, name pkix.Name, usage x509.ExtKeyUsage) (cert, key []byte, err error) {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: name, NotAfter: authority.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		der, err := x509.CreateCertificate(rand.Reader, template, authority, own.Public(), private)
		if err != nil {
			return nil, nil, err
		}
		secret, err := x509.MarshalPKCS8PrivateKey(own)
		return encode("CERTIFICATE", der), encode("PRIVATE KEY", secret), err
	}
	s.CA = encode("CERTIFICATE", ca)
	user := pkix.Name{CommonName: "test", Organization: []string{"system:masters"}}
	if s.Cert, s.Key, err = issue(2, user, x509.ExtKeyUsageClientAuth); err != nil {
		return nil, err
	}
	cert, key, err := issue(3, pkix.Name{CommonName: "server"}, x509.ExtKeyUsageServerAuth)
	return map[string][]byte{"ca.crt": s.CA, "server.crt": cert, "server.key": key}, err
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// kubeconfig returns the text of [Server.Kubeconfig].
func (s *Server) kubeconfig() []byte {
	text := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, certificate-authority-data: %s}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
users: [{name: test, user: {client-certificate-data: %s, client-key-data: %s}}]
current-context: test
`, s.URL, text(s.CA), text(s.Cert), text(s.Key))
}
