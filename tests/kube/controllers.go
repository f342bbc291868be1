package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/controller/statefulset"
	"k8s.io/kubernetes/pkg/controller/volume/pvcprotection"
)

const (
	// workers of each controller, as many as the controller manager gives to StatefulSets.
	workers = 5
	// resync is how often the controllers ask again which kinds of objects there are.
	resync = 30 * time.Second
)

// startControllers starts the controllers and the stand-in for a node, which run until the context ends.
// They are the same that a controller manager would start, without its elections and its other forty.
func startControllers(ctx context.Context, loopback *rest.Config, rules *rules) error {
	// Who wrote a field shows in an object's managedFields, and is to read there as in other clusters.
	config := rest.CopyConfig(loopback)
	config.UserAgent = "kube-controller-manager"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	core, apps := factory.Core().V1(), factory.Apps().V1()

	sets := statefulset.NewStatefulSetController(ctx, core.Pods(), apps.StatefulSets(), core.PersistentVolumeClaims(), apps.ControllerRevisions(), client)
	namespaces := namespace.NewNamespaceController(ctx, client, metadataClient, client.Discovery().ServerPreferredNamespacedResources, core.Namespaces(), resync, corev1.FinalizerKubernetes)
	accounts, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(), client, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}
	claims, err := pvcprotection.NewPVCProtectionController(klog.FromContext(ctx), core.PersistentVolumeClaims(), core.Pods(), client)
	if err != nil {
		return err
	}
	informersStarted := make(chan struct{})
	collector, err := garbagecollector.NewGarbageCollector(ctx, client, metadataClient,
		restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery())),
		garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(factory, metadatainformer.NewSharedInformerFactory(metadataClient, 0)),
		informersStarted)
	if err != nil {
		return err
	}
	config = rest.CopyConfig(loopback)
	config.UserAgent = "kubelet"
	kubeletClient, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	kubelet, err := newKubelet(kubeletClient, factory, rules)
	if err != nil {
		return err
	}

	factory.Start(ctx.Done())
	close(informersStarted)
	go sets.Run(ctx, workers)
	go namespaces.Run(ctx, workers)
	go accounts.Run(ctx, workers)
	go claims.Run(ctx, workers)
	go collector.Run(ctx, workers, resync)
	go collector.Sync(ctx, client.Discovery(), resync)
	go kubelet.run(ctx)
	return nil
}

// seed creates what a cluster has before anybody uses it: a node, and storage.
func seed(ctx context.Context, client kubernetes.Interface, mainNamespace string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   nodeName,
		Labels: map[string]string{corev1.LabelHostname: nodeName, corev1.LabelOSStable: "linux"},
	}}
	node, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	// Mage tells the external address and the node port as the address of a workspace.
	node.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: nodeAddress},
		{Type: corev1.NodeExternalIP, Address: nodeAddress},
	}
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("status of the node: %w", err)
	}

	// `default` is the class that Mage asks for when nobody names one. `fixed` cannot grow.
	for name, expandable := range map[string]bool{"default": true, "fixed": false} {
		class := &storagev1.StorageClass{
			ObjectMeta:           metav1.ObjectMeta{Name: name},
			Provisioner:          provisioner,
			AllowVolumeExpansion: &expandable,
		}
		if name == "default" {
			class.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
		}
		if _, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("storage class: %w", err)
		}
	}

	// The apiserver makes its own namespaces a moment after it is ready.
	wanted := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: mainNamespace}}
	_, err = client.CoreV1().Namespaces().Create(ctx, wanted, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace: %w", err)
	}
	return nil
}

// createMainPod creates the pod in which Mage's main server believes to run, and waits until it runs:
// Mage reads its own image, service account and storage from it. That the pod could be created also
// says that the namespace has its service account, without which tests could not create any pod.
func createMainPod(ctx context.Context, client kubernetes.Interface, namespace, name string) error {
	const claimName = "mage-main-data"
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: claimName},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceStorage: resource.MustParse("2Gi"),
			}},
		},
	}
	if _, err := client.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, claim, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("claim of the main pod: %w", err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "mage-main"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name:         "mage",
				Image:        "mageai/mageai:0.9.80",
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/home/src"}},
			}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName},
			}}},
		},
	}
	created := false
	var last error
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if !created {
			_, last = client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
			created = last == nil
			return false, nil
		}
		var running *corev1.Pod
		running, last = client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		return last == nil && running.Status.Phase == corev1.PodRunning, nil
	})
	if err != nil {
		return fmt.Errorf("the main pod does not run: %w", errors.Join(err, last))
	}
	return nil
}
