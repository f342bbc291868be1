package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const (
	nodeName    = "magus-node"
	nodeAddress = "127.0.0.1"
	provisioner = "magus.test/provisioner"
)

// kubelet stands in for everything that would need a machine: it binds pods to the one node, reports
// the states of their containers, ends them when they are deleted, and gives volume claims their volumes.
type kubelet struct {
	client  kubernetes.Interface
	pods    corelisters.PodLister
	claims  corelisters.PersistentVolumeClaimLister
	classes storagelisters.StorageClassLister
	nodes   corelisters.NodeLister
	synced  []cache.InformerSynced
	rules   *rules

	podQueue, claimQueue workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

func newQueue() workqueue.TypedRateLimitingInterface[cache.ObjectName] {
	// The usual limit of ten retries a second would hold back tests with hundreds of pods.
	limit := workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](10*time.Millisecond, time.Second)
	return workqueue.NewTypedRateLimitingQueue(limit)
}

func newKubelet(client kubernetes.Interface, factory informers.SharedInformerFactory, rules *rules) (*kubelet, error) {
	pods := factory.Core().V1().Pods()
	claims := factory.Core().V1().PersistentVolumeClaims()
	classes := factory.Storage().V1().StorageClasses()
	nodes := factory.Core().V1().Nodes()
	k := &kubelet{
		client: client, pods: pods.Lister(), claims: claims.Lister(), classes: classes.Lister(), nodes: nodes.Lister(),
		synced: []cache.InformerSynced{
			pods.Informer().HasSynced, claims.Informer().HasSynced, classes.Informer().HasSynced, nodes.Informer().HasSynced,
		},
		rules: rules, podQueue: newQueue(), claimQueue: newQueue(),
	}
	if _, err := pods.Informer().AddEventHandler(handler(k.podQueue)); err != nil {
		return nil, err
	}
	if _, err := claims.Informer().AddEventHandler(handler(k.claimQueue)); err != nil {
		return nil, err
	}
	if _, err := claims.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: k.claimUpdated}); err != nil {
		return nil, err
	}
	// What was waiting for a storage class or for the node gets another look.
	again := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { k.enqueueAll() },
		UpdateFunc: func(any, any) { k.enqueueAll() },
	}
	for _, informer := range []cache.SharedIndexInformer{classes.Informer(), nodes.Informer()} {
		if _, err := informer.AddEventHandler(again); err != nil {
			return nil, err
		}
	}
	rules.changed = k.enqueueAll
	return k, nil
}

// handler puts the names of objects that appear or change into a queue.
func handler(queue workqueue.TypedRateLimitingInterface[cache.ObjectName]) cache.ResourceEventHandler {
	add := func(object any) {
		if name, err := cache.ObjectToName(object); err == nil {
			queue.Add(name)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, object any) { add(object) }}
}

// claimUpdated gives the pods that wait for a claim another look once it is bound.
func (k *kubelet) claimUpdated(old, updated any) {
	before, isClaim := old.(*corev1.PersistentVolumeClaim)
	claim, isAlso := updated.(*corev1.PersistentVolumeClaim)
	if !isClaim || !isAlso || before.Status.Phase == claim.Status.Phase {
		return
	}
	// Listing from a cache fails only on an index that does not exist.
	pods, _ := k.pods.Pods(claim.Namespace).List(labels.Everything())
	for _, pod := range pods {
		if pod.Spec.NodeName == "" {
			k.podQueue.Add(cache.MetaObjectToName(pod))
		}
	}
}

func (k *kubelet) enqueueAll() {
	pods, _ := k.pods.List(labels.Everything())
	for _, pod := range pods {
		k.podQueue.Add(cache.MetaObjectToName(pod))
	}
	claims, _ := k.claims.List(labels.Everything())
	for _, claim := range claims {
		k.claimQueue.Add(cache.MetaObjectToName(claim))
	}
}

func (k *kubelet) run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), k.synced...) {
		return
	}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { work(ctx, k.podQueue, k.syncPod) })
		running.Go(func() { work(ctx, k.claimQueue, k.syncClaim) })
	}
	<-ctx.Done()
	k.podQueue.ShutDown()
	k.claimQueue.ShutDown()
	running.Wait()
}

// work takes names off a queue until it is shut down. What fails is tried again later.
func work(ctx context.Context, queue workqueue.TypedRateLimitingInterface[cache.ObjectName], sync func(context.Context, cache.ObjectName) error) {
	for {
		name, shutdown := queue.Get()
		if shutdown {
			return
		}
		err := sync(ctx, name)
		switch {
		case err == nil, apierrors.IsNotFound(err):
			queue.Forget(name)
		default:
			// Conflicts are the rule here: everybody writes the status of what they see.
			if !apierrors.IsConflict(err) {
				klog.ErrorS(err, "stand-in for a node", "object", name)
			}
			queue.AddRateLimited(name)
		}
		queue.Done(name)
	}
}

func (k *kubelet) syncPod(ctx context.Context, name cache.ObjectName) error {
	pod, err := k.pods.Pods(name.Namespace).Get(name.Name)
	if err != nil {
		return err
	}
	state := states[k.rules.stateOf(pod)]
	if state.lost {
		return nil
	}
	if pod.DeletionTimestamp != nil {
		// No container has to be asked to end, so the grace period is over at once.
		return k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: new(int64),
			Preconditions:      metav1.NewUIDPreconditions(string(pod.UID)),
		})
	}
	if pod.Spec.NodeName == "" {
		reason, err := k.unschedulable(pod, state)
		if err != nil {
			return err
		}
		if reason != "" {
			return k.updateStatus(ctx, pod, unschedulable(pod, reason))
		}
		// The status follows when the pod comes back with its node.
		return k.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: nodeName},
		}, metav1.CreateOptions{})
	}
	return k.updateStatus(ctx, pod, state.status(pod))
}

// unschedulable is why a pod cannot be bound to the node, in the scheduler's words, or empty.
func (k *kubelet) unschedulable(pod *corev1.Pod, state state) (string, error) {
	if state.unschedulable {
		return "0/1 nodes are available: 1 Insufficient memory.", nil
	}
	node, err := k.nodes.Get(nodeName)
	if err != nil {
		return "", err
	}
	if !labels.SelectorFromSet(pod.Spec.NodeSelector).Matches(labels.Set(node.Labels)) {
		return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", nil
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		name := volume.PersistentVolumeClaim.ClaimName
		claim, err := k.claims.PersistentVolumeClaims(pod.Namespace).Get(name)
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Sprintf("0/1 nodes are available: persistentvolumeclaim %q not found.", name), nil
		case err != nil:
			return "", err
		case claim.Status.Phase != corev1.ClaimBound:
			return "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", nil
		}
	}
	return "", nil
}

func (k *kubelet) updateStatus(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) error {
	if apiequality.Semantic.DeepEqual(pod.Status, status) {
		return nil
	}
	updated := pod.DeepCopy()
	updated.Status = status
	_, err := k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	return err
}

// syncClaim binds a claim to a volume of the size it asks for, and lets the volume grow with it, as
// provisioner and resizer do. Volumes themselves are not created: nothing of Mage or Magus reads them.
func (k *kubelet) syncClaim(ctx context.Context, name cache.ObjectName) error {
	claim, err := k.claims.PersistentVolumeClaims(name.Namespace).Get(name.Name)
	if err != nil {
		return err
	}
	if claim.DeletionTimestamp != nil || claim.Spec.StorageClassName == nil {
		return nil
	}
	if _, err := k.classes.Get(*claim.Spec.StorageClassName); err != nil {
		// A class that does not exist leaves the claim pending, which is what a cluster does.
		return err
	}
	claims := k.client.CoreV1().PersistentVolumeClaims(claim.Namespace)
	claim = claim.DeepCopy()
	if claim.Spec.VolumeName == "" {
		claim.Spec.VolumeName = "pvc-" + string(claim.UID)
		metav1.SetMetaDataAnnotation(&claim.ObjectMeta, "volume.kubernetes.io/storage-provisioner", provisioner)
		if claim, err = claims.Update(ctx, claim, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if got := claim.Status.Capacity[corev1.ResourceStorage]; claim.Status.Phase == corev1.ClaimBound && got.Cmp(wanted) >= 0 {
		return nil
	}
	claim.Status.Phase = corev1.ClaimBound
	claim.Status.AccessModes = claim.Spec.AccessModes
	claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: wanted}
	if _, err = claims.UpdateStatus(ctx, claim, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return nil
}
