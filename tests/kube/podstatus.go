package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// state is what a pod reports of itself, as a kubelet would.
type state struct {
	// unschedulable pods wait for a node. One that has its node already waits for its containers.
	unschedulable bool
	// waiting is the reason why containers do not run, in the kubelet's words; empty when they run.
	waiting string
	// message explains waiting.
	message string
	// crashed says that the containers ran before they waited, so that the pod's phase is Running.
	crashed bool
	// unready containers run and do not pass their readiness probe.
	unready bool
	// lost pods are on a node that does not answer: their status stays, and they do not go away.
	lost bool
}

// states are the names that a rule can give.
var states = map[string]state{
	"running":  {},
	"pending":  {unschedulable: true, waiting: "ContainerCreating"},
	"starting": {unready: true},
	"crash":    {waiting: "CrashLoopBackOff", message: "back-off 5m0s restarting failed container", crashed: true},
	"pull":     {waiting: "ImagePullBackOff", message: "Back-off pulling image"},
	"config":   {waiting: "CreateContainerConfigError", message: "secret not found"},
	"lost":     {lost: true},
}

// unschedulable is the status of a pod without a node.
func unschedulable(pod *corev1.Pod, message string) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.ObservedGeneration = pod.Generation
	status.Phase = corev1.PodPending
	podutil.UpdatePodCondition(&status, &corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, ObservedGeneration: pod.Generation,
		Reason: corev1.PodReasonUnschedulable, Message: message,
	})
	return status
}

// status is that of a pod on the node. Applied to its own result it changes nothing, so that a pod
// whose state stays is not written again.
func (s state) status(pod *corev1.Pod) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.ObservedGeneration = pod.Generation
	if status.StartTime == nil {
		now := metav1.Now()
		status.StartTime = &now
	}
	status.HostIP = nodeAddress
	status.HostIPs = []corev1.HostIP{{IP: nodeAddress}}
	status.Phase = corev1.PodRunning
	if s.waiting != "" && !s.crashed {
		status.Phase = corev1.PodPending
	}

	status.InitContainerStatuses = nil
	for _, container := range pod.Spec.InitContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, initialized(container, pod.Status.InitContainerStatuses))
	}
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, s.container(container, pod.Status.ContainerStatuses))
	}

	ready := corev1.ConditionTrue
	reason := ""
	if s.waiting != "" || s.unready {
		ready, reason = corev1.ConditionFalse, "ContainersNotReady"
	}
	for _, condition := range []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
		{Type: corev1.ContainersReady, Status: ready, Reason: reason},
		{Type: corev1.PodReady, Status: ready, Reason: reason},
	} {
		condition.ObservedGeneration = pod.Generation
		// Keeps the time of the last transition where there is none, which minReadySeconds counts from.
		podutil.UpdatePodCondition(&status, &condition)
	}
	return status
}

// container is the status of one container of the pod.
func (s state) container(container corev1.Container, before []corev1.ContainerStatus) corev1.ContainerStatus {
	old, _ := podutil.GetContainerStatus(before, container.Name)
	runs := s.waiting == ""
	status := corev1.ContainerStatus{
		Name: container.Name, Image: container.Image, RestartCount: old.RestartCount, LastTerminationState: old.LastTerminationState,
		Ready: runs && !s.unready, Started: &runs,
	}
	if runs {
		status.ContainerID = "containerd://" + container.Name
		status.ImageID = container.Image
		status.State.Running = old.State.Running
		if status.State.Running == nil {
			status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Now()}
		}
		return status
	}
	status.State.Waiting = &corev1.ContainerStateWaiting{Reason: s.waiting, Message: s.message}
	if s.crashed {
		status.ContainerID = "containerd://" + container.Name
		status.ImageID = container.Image
		if old.State.Waiting == nil || old.State.Waiting.Reason != s.waiting {
			status.RestartCount++
			status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: 1, Reason: "Error", ContainerID: status.ContainerID, StartedAt: metav1.Now(), FinishedAt: metav1.Now(),
			}
		}
	}
	return status
}

// initialized is the status of an init container, which has always succeeded.
func initialized(container corev1.Container, before []corev1.ContainerStatus) corev1.ContainerStatus {
	if old, done := podutil.GetContainerStatus(before, container.Name); done {
		return old
	}
	started := false
	return corev1.ContainerStatus{
		Name: container.Name, Image: container.Image, ImageID: container.Image, ContainerID: "containerd://" + container.Name,
		Ready: true, Started: &started,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", ContainerID: "containerd://" + container.Name, StartedAt: metav1.Now(), FinishedAt: metav1.Now(),
		}},
	}
}
