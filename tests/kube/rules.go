package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// rule says what becomes of the pods that it selects. An empty selector selects all pods; of several
// rules that fit, the one that was set last counts.
//
//	POST   /rules {"namespace": "default", "pod": "ana-", "state": "crash"}
//	DELETE /rules?namespace=default     without a namespace: all of them
//	GET    /rules
//
// Every answer is the list of rules. A change also reaches pods that exist already; that it has
// arrived shows in their status.
type rule struct {
	// Namespace of the pods, in full.
	Namespace string `json:"namespace"`
	// Pod is the beginning of their names.
	Pod string `json:"pod"`
	// Image is a part of the image of one of their containers, so that a rule can follow the template:
	// the pod of the broken template crashes, that of the next one does not.
	Image string `json:"image"`
	// State is a key of states.
	State string `json:"state"`
}

// sameSelector is true where the other rule selects the same pods, and so would replace this one.
func (r rule) sameSelector(other rule) bool {
	return r.Namespace == other.Namespace && r.Pod == other.Pod && r.Image == other.Image
}

func (r rule) selects(pod *corev1.Pod) bool {
	if r.Namespace != "" && r.Namespace != pod.Namespace {
		return false
	}
	if !strings.HasPrefix(pod.Name, r.Pod) {
		return false
	}
	return slices.ContainsFunc(pod.Spec.Containers, func(container corev1.Container) bool {
		return strings.Contains(container.Image, r.Image)
	})
}

// rules is the list of them, and the http server that changes it.
type rules struct {
	mutex sync.Mutex
	list  []rule
	// changed is called after each change, without the lock.
	changed func()
}

func newRules() *rules {
	return &rules{list: []rule{}, changed: func() {}}
}

// stateOf is the name of a pod's state: running where no rule says otherwise.
func (r *rules) stateOf(pod *corev1.Pod) string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, rule := range slices.Backward(r.list) {
		if rule.selects(pod) {
			return rule.State
		}
	}
	return "running"
}

// edit changes the list under the lock and returns a copy of it.
func (r *rules) edit(change func([]rule) []rule) []rule {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.list = change(r.list)
	return slices.Clone(r.list)
}

func (r *rules) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if request.URL.Path != "/rules" {
		http.NotFound(response, request)
		return
	}
	change := func(list []rule) []rule { return list }
	switch request.Method {
	case http.MethodGet:
	case http.MethodPost:
		var added rule
		decoder := json.NewDecoder(request.Body)
		// A misspelt selector would silently select everything.
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&added); err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		if _, known := states[added.State]; !known {
			http.Error(response, "there is no state `"+added.State+"`", http.StatusBadRequest)
			return
		}
		change = func(list []rule) []rule {
			return append(slices.DeleteFunc(list, added.sameSelector), added)
		}
	case http.MethodDelete:
		namespace := request.URL.Query().Get("namespace")
		change = func(list []rule) []rule {
			return slices.DeleteFunc(list, func(rule rule) bool {
				return namespace == "" || rule.Namespace == namespace
			})
		}
	default:
		http.Error(response, "GET, POST or DELETE", http.StatusMethodNotAllowed)
		return
	}
	list := r.edit(change)
	r.changed()
	response.Header().Set("Content-Type", "application/json")
	// An error here is a client that went away, and nobody is left to hear of it.
	_ = json.NewEncoder(response).Encode(list)
}
