package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// apiserver is a running kube-apiserver and how to reach it.
type apiserver struct {
	url string
	// authority is the certificate of the authority that signed the server's, as PEM.
	authority []byte
	// token logs in as an administrator.
	token string
	// loopback is how controllers of this process reach it, without limits on their rate.
	loopback *rest.Config
}

// startEtcd starts etcd on a free port of loopback and returns its URL when it answers.
func startEtcd(root string) (string, error) {
	config := embed.NewConfig()
	config.Name = "magus-test"
	config.Dir = filepath.Join(root, "etcd")
	// Data that ends with the test need not survive a power cut, and syncing is most of what a write costs.
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	config.LogOutputs = []string{filepath.Join(root, "etcd.log")}
	free := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config.ListenClientUrls = []url.URL{free}
	config.AdvertiseClientUrls = []url.URL{free}
	config.ListenPeerUrls = []url.URL{free}
	config.AdvertisePeerUrls = []url.URL{free}
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return "", fmt.Errorf("etcd: %w", err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return "http://" + etcd.Clients[0].Addr().String(), nil
	case err := <-etcd.Err():
		return "", fmt.Errorf("etcd: %w", err)
	case <-time.After(startTimeout):
		return "", errors.New("etcd: not ready in time")
	}
}

// startAPIServer returns when /readyz is ok. Its options are the flags of the real program, so that
// they can be looked up in its reference.
func startAPIServer(ctx context.Context, root string, port int, etcd string, failed chan<- error) (*apiserver, error) {
	certificates := filepath.Join(root, "certificates")
	if err := os.MkdirAll(certificates, 0o700); err != nil {
		return nil, err
	}
	token, err := writeTokens(filepath.Join(certificates, "tokens.csv"))
	if err != nil {
		return nil, err
	}
	signer := filepath.Join(certificates, "service-account.key")
	if err := writeSigner(signer); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	address := listener.Addr().(*net.TCPAddr)

	s := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range s.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse([]string{
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", address.Port),
		"--cert-dir=" + certificates,
		"--token-auth-file=" + filepath.Join(certificates, "tokens.csv"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + signer,
		"--service-account-signing-key-file=" + signer,
		"--service-cluster-ip-range=10.0.0.0/16",
		"--allow-privileged=true",
		// Endpoints of the apiserver itself: they refuse loopback, and nothing here needs them.
		"--endpoint-reconciler-type=none",
	}); err != nil {
		return nil, err
	}
	// Listening before the server exists leaves no moment in which somebody else can take the port.
	s.SecureServing.Listener = listener
	s.SecureServing.ExternalAddress = address.IP

	if err := s.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, err
	}
	completed, err := s.Complete(ctx)
	if err != nil {
		return nil, err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return nil, utilerrors.NewAggregate(errs)
	}
	config, err := app.NewConfig(completed)
	if err != nil {
		return nil, err
	}
	completedConfig, err := config.Complete()
	if err != nil {
		return nil, err
	}
	chain, err := app.CreateServerChain(completedConfig)
	if err != nil {
		return nil, err
	}
	prepared, err := chain.PrepareRun()
	if err != nil {
		return nil, err
	}
	go func() { failed <- fmt.Errorf("kube-apiserver ended: %w", prepared.Run(context.Background())) }()

	authority, err := readAuthority(filepath.Join(certificates, "apiserver.crt"))
	if err != nil {
		return nil, err
	}
	server := &apiserver{
		url:       "https://" + address.String(),
		authority: authority,
		token:     token,
		loopback:  chain.GenericAPIServer.LoopbackClientConfig,
	}
	return server, waitReady(ctx, server)
}

// waitReady asks as a client from outside does: over TLS and with the token.
func waitReady(ctx context.Context, server *apiserver) error {
	client, err := kubernetes.NewForConfig(server.administrator())
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		last = client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("kube-apiserver is not ready: %w", errors.Join(err, last))
	}
	return nil
}

// administrator is the configuration of a client that uses the address and the token for people.
func (s *apiserver) administrator() *rest.Config {
	return &rest.Config{
		Host:            s.url,
		BearerToken:     s.token,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.authority},
	}
}

// writeTokens writes the file of static tokens with one administrator, and returns the token.
func writeTokens(path string) (string, error) {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		return "", err
	}
	token := hex.EncodeToString(bytes)
	line := token + `,magus-test,magus-test,"system:masters"` + "\n"
	return token, os.WriteFile(path, []byte(line), 0o600)
}

// writeSigner writes the key that signs tokens of service accounts.
func writeSigner(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	data, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return keyutil.WriteKey(path, data)
}

// readAuthority reads the last certificate of a chain: the apiserver makes an authority for its own
// certificate and writes it behind that. A kubeconfig holds the authority alone.
func readAuthority(path string) ([]byte, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var last *pem.Block
	for {
		block, tail := pem.Decode(rest)
		if block == nil {
			break
		}
		last, rest = block, tail
	}
	if last == nil {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pem.EncodeToMemory(last), nil
}
