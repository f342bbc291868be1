package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// workspace is a StatefulSet in the shape that Mage gives it.
const workspace = `{
  "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "ana", "labels": {"app": "ana"}},
  "spec": {
    "replicas": 1, "selector": {"matchLabels": {"app": "ana"}},
    "template": {"metadata": {"labels": {"app": "ana"}}, "spec": {"containers": [{
      "name": "ana-container", "image": "mageai/mageai:0.9.80", "volumeMounts": [{"name": "mage-data", "mountPath": "/home/src"}]
    }]}},
    "volumeClaimTemplates": [{"metadata": {"name": "mage-data"}, "spec": {
      "accessModes": ["ReadWriteMany"], "storageClassName": "default", "resources": {"requests": {"storage": "2Gi"}}
    }}],
    "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}
  }
}`

// TestCluster takes one workspace through its life. The steps build on each other: a process can hold
// one apiserver only.
func TestCluster(t *testing.T) {
	stdin, closeStdin := io.Pipe()
	output, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run([]string{"--dir", t.TempDir()}, stdin, stdout) }()
	var line ready
	decoded := make(chan error, 1)
	go func() { decoded <- json.NewDecoder(output).Decode(&line) }()
	select {
	case err := <-decoded:
		if err != nil {
			t.Fatal(err)
		}
	case err := <-ended:
		t.Fatalf("ended before it was ready: %v", err)
	}
	secure, plain := clientOf(t, line.Kubeconfig), clientOf(t, line.HTTPKubeconfig)
	ctx := context.Background()

	t.Run("the main pod runs", func(t *testing.T) {
		pod, err := secure.CoreV1().Pods("default").Get(ctx, "mage-main-0", metav1.GetOptions{})
		if err != nil || pod.Status.Phase != corev1.PodRunning {
			t.Fatalf("%v, %v", pod.Status.Phase, err)
		}
	})

	t.Run("a pod follows the rules", func(t *testing.T) {
		create := plain.AppsV1().RESTClient().Post().AbsPath("/apis/apps/v1/namespaces/default/statefulsets")
		if err := create.Body([]byte(workspace)).Do(ctx).Error(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "ready", func() bool { return podIs(secure, corev1.PodRunning, "", true) })
		post(t, line.Control, rule{Namespace: "default", Pod: "ana-", State: "crash"})
		eventually(t, "crashing", func() bool { return podIs(secure, corev1.PodRunning, "CrashLoopBackOff", false) })
		post(t, line.Control, rule{Namespace: "default", Pod: "ana-", State: "pull"})
		eventually(t, "pulling", func() bool { return podIs(secure, corev1.PodPending, "ImagePullBackOff", false) })
		post(t, line.Control, rule{Namespace: "default", Pod: "ana-", State: "starting"})
		eventually(t, "starting", func() bool { return podIs(secure, corev1.PodRunning, "", false) })
		post(t, line.Control, rule{Namespace: "default", Pod: "ana-", State: "running"})
		eventually(t, "ready again", func() bool { return podIs(secure, corev1.PodRunning, "", true) })
	})

	t.Run("a rule for an image is left behind by the next template", func(t *testing.T) {
		// The rule for the name is still there, and the later one counts.
		post(t, line.Control, rule{Image: ":broken", State: "config"})
		patch(t, secure, `{"spec": {"template": {"spec": {"containers": [{"name": "ana-container", "image": "mage:broken"}]}}}}`)
		eventually(t, "broken", func() bool { return podIs(secure, corev1.PodPending, "CreateContainerConfigError", false) })
		patch(t, secure, `{"spec": {"template": {"spec": {"containers": [{"name": "ana-container", "image": "mage:good"}]}}}}`)
		// The controller does not replace a pod that never became ready (kubernetes issue 67250).
		if err := secure.CoreV1().Pods("default").Delete(ctx, "ana-0", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "ready", func() bool { return podIs(secure, corev1.PodRunning, "", true) })
	})

	t.Run("a misspelt rule is refused", func(t *testing.T) {
		for _, body := range []string{`{"pod": "ana-", "state": "happy"}`, `{"pods": "ana-", "state": "crash"}`} {
			response, err := http.Post(line.Control+"/rules", "application/json", bytes.NewBufferString(body))
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %s", body, response.Status)
			}
		}
	})

	t.Run("a claim grows where its class lets it", func(t *testing.T) {
		claims := secure.CoreV1().PersistentVolumeClaims("default")
		grow := []byte(`{"spec": {"resources": {"requests": {"storage": "5Gi"}}}}`)
		if _, err := claims.Patch(ctx, "mage-data-ana-0", types.StrategicMergePatchType, grow, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "5Gi", func() bool {
			claim, err := claims.Get(ctx, "mage-data-ana-0", metav1.GetOptions{})
			capacity := claim.Status.Capacity[corev1.ResourceStorage]
			return err == nil && capacity.Cmp(resource.MustParse("5Gi")) == 0
		})
	})

	t.Run("deleting takes pod and claim along", func(t *testing.T) {
		if err := plain.AppsV1().StatefulSets("default").Delete(ctx, "ana", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "gone", func() bool {
			_, pod := secure.CoreV1().Pods("default").Get(ctx, "ana-0", metav1.GetOptions{})
			_, claim := secure.CoreV1().PersistentVolumeClaims("default").Get(ctx, "mage-data-ana-0", metav1.GetOptions{})
			return apierrors.IsNotFound(pod) && apierrors.IsNotFound(claim)
		})
	})

	t.Run("the secure address wants a token", func(t *testing.T) {
		config, err := clientcmd.BuildConfigFromFlags("", line.Kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		config.BearerToken = "wrong"
		stranger, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stranger.CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			t.Errorf("%v", err)
		}
	})

	t.Run("it ends with its standard input", func(t *testing.T) {
		if err := closeStdin.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Error("still there")
		}
	})
}

func clientOf(t *testing.T, kubeconfig string) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// podIs compares phase, reason to wait and readiness of the workspace's pod.
func podIs(client kubernetes.Interface, phase corev1.PodPhase, waiting string, ready bool) bool {
	pod, err := client.CoreV1().Pods("default").Get(context.Background(), "ana-0", metav1.GetOptions{})
	if err != nil || pod.DeletionTimestamp != nil || pod.Status.Phase != phase {
		return false
	}
	reason, isReady := "", false
	for _, container := range pod.Status.ContainerStatuses {
		if container.State.Waiting != nil {
			reason = container.State.Waiting.Reason
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			isReady = condition.Status == corev1.ConditionTrue
		}
	}
	return reason == waiting && isReady == ready
}

func patch(t *testing.T, client kubernetes.Interface, body string) {
	t.Helper()
	sets := client.AppsV1().StatefulSets("default")
	if _, err := sets.Patch(context.Background(), "ana", types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func post(t *testing.T, control string, rule rule) {
	t.Helper()
	body, err := json.Marshal(rule)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(control+"/rules", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return condition(), nil
	})
	if err != nil {
		t.Fatalf("not %s in time", what)
	}
}
