package apiserver

import (
	"cmp"
	"errors"
	"net"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
)

// Options are the flags of a server, those of k8s.io/apiserver as they are known from a cluster's servers.
//
// With AccessFile, or Access, the server stands alone. Without them it stands behind a cluster's, and asks that who sends
// a request, what they may do, and which namespaces there are. The kubeconfig for these questions is that of the pod, if
// no flag names one; that of Authorization is the default of CoreAPI.
type Options struct {
	Run            *genericoptions.ServerRunOptions
	Serving        *genericoptions.SecureServingOptions
	Authentication *genericoptions.DelegatingAuthenticationOptions
	Authorization  *genericoptions.DelegatingAuthorizationOptions
	Audit          *genericoptions.AuditOptions
	Features       *genericoptions.FeatureOptions
	// CoreAPI and Admission are for a server behind a cluster's: it creates nothing in namespaces that are not there,
	// or that are being deleted.
	CoreAPI   *genericoptions.CoreAPIOptions
	Admission *genericoptions.AdmissionOptions
	// AccessFile is what [ReadAccess] reads, and Access are users and rules besides.
	AccessFile string
	Access     *Access
}

// NewOptions returns the defaults: port 8443 of all interfaces, and a certificate that is made at the start and kept in
// memory. It is for localhost, and for the address that the server listens on if that is one.
//
// Requests are limited by their number. Priority and fairness is off: a flag turns it on for a server behind a cluster's,
// which then needs the permission to get, list and watch flowschemas and prioritylevelconfigurations there.
func NewOptions() *Options {
	serving := genericoptions.NewSecureServingOptions()
	serving.BindPort = 8443
	serving.Required = true
	serving.ServerCert.CertDirectory = ""
	serving.ServerCert.PairName = "apiserver"
	o := &Options{
		Run:            genericoptions.NewServerRunOptions(),
		Serving:        serving,
		Authentication: genericoptions.NewDelegatingAuthenticationOptions(),
		Authorization:  genericoptions.NewDelegatingAuthorizationOptions(),
		Audit:          genericoptions.NewAuditOptions(),
		Features:       genericoptions.NewFeatureOptions(),
		CoreAPI:        genericoptions.NewCoreAPIOptions(),
		Admission:      genericoptions.NewAdmissionOptions(),
	}
	o.Features.EnablePriorityAndFairness = false
	o.Admission.DefaultOffPlugins = sets.New(o.Admission.RecommendedPluginOrder...).Delete(lifecycle.PluginName)
	return o
}

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.Run.AddUniversalFlags(fs)
	o.Serving.AddFlags(fs)
	o.Authentication.AddFlags(fs)
	o.Authorization.AddFlags(fs)
	o.Audit.AddFlags(fs)
	o.Features.AddFlags(fs)
	o.Admission.AddFlags(fs)
	fs.StringVar(&o.AccessFile, "access-file", o.AccessFile,
		"File with users, their tokens and what they may do. With it the server stands alone, and asks no cluster.")
}

// Validate returns what is wrong with the flags.
func (o *Options) Validate() error {
	var errs []error
	for _, check := range []func() []error{
		o.Run.Validate, o.Serving.Validate, o.Authentication.Validate, o.Authorization.Validate, o.Audit.Validate,
		o.Features.Validate, o.CoreAPI.Validate, o.Admission.Validate,
	} {
		errs = append(errs, check()...)
	}
	return errors.Join(errs...)
}

// Config returns the configuration that the flags describe; its API is for the caller to set. It listens already.
func (o *Options) Config() (*Config, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	access, err := o.access()
	if err != nil {
		return nil, err
	}
	c := NewConfig()
	g := &c.Generic.Config
	if err := o.serve(g); err != nil {
		return nil, err
	}
	err = o.Audit.ApplyTo(g)
	if err == nil && access != nil {
		err = errors.Join(o.Features.ApplyTo(g, nil, nil), c.SetAccess(access))
	} else if err == nil {
		err = o.joinCluster(c)
	}
	if err != nil {
		return nil, errors.Join(err, g.SecureServing.Listener.Close())
	}
	return c, nil
}

// access returns who may use a server that stands alone; nil behind a cluster's.
func (o *Options) access() (*Access, error) {
	if o.AccessFile == "" {
		return o.Access, nil
	}
	access, err := ReadAccess(o.AccessFile)
	if err == nil && o.Access != nil {
		access.Users = append(access.Users, o.Access.Users...)
		access.Rules = append(access.Rules, o.Access.Rules...)
	}
	return access, err
}

// serve listens, with a certificate of the server's own if none is named. It is kept if there is a directory for it.
func (o *Options) serve(g *genericserver.Config) error {
	pair := &o.Serving.ServerCert
	if pair.CertDirectory != "" {
		if err := o.Serving.MaybeDefaultWithSelfSignedCerts("localhost", nil, o.addresses()); err != nil {
			return err
		}
	} else if pair.CertKey.CertFile == "" && pair.GeneratedCert == nil {
		hosts := []string{"localhost"}
		for _, ip := range o.addresses() {
			hosts = append(hosts, ip.String())
		}
		own, err := newCertificate(time.Now(), certificateLife, hosts...)
		if err != nil {
			return err
		}
		if pair.GeneratedCert, err = dynamiccertificates.NewStaticCertKeyContent("own", own.cert, own.key); err != nil {
			return err
		}
	}
	if ip := o.listensAt(); o.Run.AdvertiseAddress == nil && ip.IsLoopback() {
		o.Run.AdvertiseAddress = ip // the machine may have no other
	}
	if err := o.Run.DefaultAdvertiseAddress(o.Serving); err != nil {
		return err
	}
	if err := o.Run.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	if err := o.Run.ApplyTo(g); err != nil {
		return err
	}
	if err := o.Serving.ApplyTo(&g.SecureServing); err != nil {
		return err
	}
	cert, _ := g.SecureServing.Cert.CurrentCertKeyContent()
	var err error
	g.LoopbackClientConfig, err = g.SecureServing.NewClientConfig(cert)
	return err
}

// addresses returns where the server listens, and those of the loopback interface.
func (o *Options) addresses() []net.IP {
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if ip := o.listensAt(); !ip.IsUnspecified() {
		ips = append(ips, ip)
	}
	return ips
}

// listensAt returns the address of the interface that the server listens on, which may be all of them.
func (o *Options) listensAt() net.IP {
	if l := o.Serving.Listener; l != nil {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			return tcp.IP
		}
	}
	return o.Serving.BindAddress
}

// certificateLife is how long a server's own certificate is valid: a process does not live that long.
const certificateLife = 10 * 365 * 24 * time.Hour

// Client returns how clients reach a server with that configuration on its own machine. They set a token.
func (c *Config) Client() *restclient.Config {
	return restclient.CopyConfig(c.Generic.LoopbackClientConfig)
}

// joinCluster lets a cluster decide who is who and who may do what, and says in which namespaces objects can be created.
func (o *Options) joinCluster(c *Config) error {
	g := &c.Generic.Config
	c.InCluster = true
	if err := o.Authentication.ApplyTo(&g.Authentication, g.SecureServing, g.OpenAPIConfig); err != nil {
		return err
	}
	if err := o.Authorization.ApplyTo(&g.Authorization); err != nil {
		return err
	}
	core := *o.CoreAPI
	core.CoreAPIKubeconfigPath = cmp.Or(core.CoreAPIKubeconfigPath, o.Authorization.RemoteKubeConfigFile)
	if err := core.ApplyTo(c.Generic); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(c.Generic.ClientConfig)
	if err != nil {
		return err
	}
	if err := o.Features.ApplyTo(g, client, c.Generic.SharedInformerFactory); err != nil {
		return err
	}
	free, err := dynamic.NewForConfig(c.Generic.ClientConfig)
	if err != nil {
		return err
	}
	return o.Admission.ApplyTo(
		g, c.Generic.SharedInformerFactory, client, free, g.FeatureGate, g.EffectiveVersion)
}
