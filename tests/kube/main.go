// Command magus-kube is a Kubernetes cluster for tests, in one process and on loopback.
//
// What Magus is designed on has to be what a cluster really answers: how a strategic merge treats
// a removed variable, which fields of a StatefulSet may change, what a rollout does with a pod that
// never becomes ready. A fake answers what its author believes. So this program links the published
// Kubernetes modules and runs the originals:
//
//   - etcd and the kube-apiserver, with its own admission, validation, defaulting and RBAC;
//   - of the controllers those that a workspace meets: StatefulSet, garbage collector, namespace,
//     service account, and protection of volume claims that are in use.
//
// Only what needs a machine behind it is ours: kubelet.go stands in for scheduler, kubelet, volume
// provisioner and resizer. It runs no container. By default a pod is running and ready soon after it
// was created; the rules of rules.go make it pending, starting, crashing and so on.
//
// Usage:
//
//	magus-kube --dir DIR [--port PORT] [--main-pod NAMESPACE/NAME]
//
// It prints one line of JSON when everything answers (type ready), and then runs until its standard
// input closes, so that it cannot outlive the test that started it. DIR takes the data of etcd, certificates,
// kubeconfigs and logs (kube.log, etcd.log) and should be empty; nothing is written anywhere else.
//
// Three addresses, all on 127.0.0.1:
//
//   - url: the apiserver itself, https; bearer token or service account tokens, RBAC;
//   - http: the same as an administrator, without TLS and login, which is where Mage's kubeconfig points;
//   - control: GET, POST and DELETE /rules, see rules.go.
//
// Build it with the version that /version is to tell, which Kubernetes takes from the linker:
//
//	go build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3" -o magus-kube .
//
// What it is not: there is no DNS, no network between pods, no `exec` and no logs. A Service has a
// cluster address and a node port, and nobody listens there.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// ready is the line of JSON on standard output.
type ready struct {
	// URL of the apiserver: https, with the certificate authority and token of Kubeconfig.
	URL string `json:"url"`
	// HTTP is the URL of the same server without TLS and login.
	HTTP string `json:"http"`
	// Control is the URL of the rules for pods.
	Control string `json:"control"`
	// Kubeconfig and HTTPKubeconfig are files; the context is magus-test in both.
	Kubeconfig     string `json:"kubeconfig"`
	HTTPKubeconfig string `json:"http_kubeconfig"`
}

// startTimeout is generous: a cold start takes seconds, a machine that also compiles a multiple of that.
const startTimeout = 3 * time.Minute

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "magus-kube:", err)
		os.Exit(1)
	}
}

// run serves until stdin closes. It stops nothing in order: all state is in a folder of the test, and
// leaving the process ends servers and controllers at once, where an orderly end would take seconds.
func run(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("magus-kube", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for data, certificates, kubeconfigs and logs")
	port := flags.Int("port", 0, "port of the apiserver on loopback; 0 takes a free one")
	mainPod := flags.String("main-pod", "default/mage-main-0", "the pod in which Mage believes to run, as NAMESPACE/NAME; its namespace is made")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("--dir is missing")
	}
	mainNamespace, mainName, ok := strings.Cut(*mainPod, "/")
	if !ok {
		return fmt.Errorf("--main-pod %q is not NAMESPACE/NAME", *mainPod)
	}
	// Paths in kubeconfigs and in the line of JSON are read by processes with other working directories.
	root, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}

	// From the first moment: a test that dies during the start must not leave a server behind either.
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(stdin))
		close(closed)
	}()

	if err := logTo(filepath.Join(root, "kube.log")); err != nil {
		return err
	}
	defer klog.Flush()

	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	failed := make(chan error, 1)
	started := make(chan ready, 1)
	go func() {
		line, err := start(ctx, root, *port, mainNamespace, mainName, failed)
		if err != nil {
			failed <- fmt.Errorf("%w (logs are in %s)", err, root)
			return
		}
		started <- line
	}()

	for {
		select {
		case <-closed:
			return nil
		case err := <-failed:
			return err
		case line := <-started:
			if err := json.NewEncoder(stdout).Encode(line); err != nil {
				return err
			}
		}
	}
}

// logTo sends the logs of all components to a file: what they call errors is mostly what they try again.
func logTo(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL", "one_output": "true"} {
		if err := flags.Set(name, value); err != nil {
			return err
		}
	}
	klog.SetOutput(file)
	return nil
}

// start brings everything up and returns when it can be used. The context bounds the start only;
// what fails after it is sent to failed.
func start(ctx context.Context, root string, port int, mainNamespace, mainName string, failed chan<- error) (ready, error) {
	etcd, err := startEtcd(root)
	if err != nil {
		return ready{}, err
	}
	server, err := startAPIServer(ctx, root, port, etcd, failed)
	if err != nil {
		return ready{}, err
	}
	client, err := kubernetes.NewForConfig(server.loopback)
	if err != nil {
		return ready{}, err
	}
	if err := seed(ctx, client, mainNamespace); err != nil {
		return ready{}, err
	}
	rules := newRules()
	if err := startControllers(context.Background(), server.loopback, rules); err != nil {
		return ready{}, err
	}
	if err := createMainPod(ctx, client, mainNamespace, mainName); err != nil {
		return ready{}, err
	}

	proxy, err := newProxy(server)
	if err != nil {
		return ready{}, err
	}
	line := ready{URL: server.url}
	if line.HTTP, err = serve(proxy, failed); err != nil {
		return ready{}, err
	}
	if line.Control, err = serve(rules, failed); err != nil {
		return ready{}, err
	}
	line.Kubeconfig = filepath.Join(root, "kubeconfig")
	line.HTTPKubeconfig = filepath.Join(root, "kubeconfig-http")
	return line, writeKubeconfigs(server, line)
}

// serve answers on a free port of loopback until the process ends, and returns the URL.
func serve(handler http.Handler, failed chan<- error) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { failed <- http.Serve(listener, handler) }()
	return "http://" + listener.Addr().String(), nil
}
