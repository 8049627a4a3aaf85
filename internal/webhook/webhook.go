// Package webhook puts the sidecars into pods as they are created: an admission
// webhook that the API server calls, and the certificate it is called with.
//
// The contract:
//
//   - It changes pods that are created with the label authz.dev/inject: "true", and
//     at NamespacePath all those that don't say "false". Whatever else it is asked
//     about passes as it is.
//   - What comes out is internal/inject's, so a pod injected here and a manifest
//     injected at the command line are the same. Nothing is written anywhere, which
//     makes it safe for dry runs.
//   - A pod that can't be protected is refused with the way out. A failure of our own
//     is told as such and nothing more; the log has the rest.
//   - Its certificate is its own: Keeper makes it, keeps it in a Secret, renews it
//     and tells the API server whom to trust. Or Files takes it from somebody else.
package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"

	"authz/internal/inject"
)

// Where the API server calls.
const (
	// PodPath is for pods that were selected by their own label.
	PodPath = "/inject"
	// NamespacePath is for pods that were selected by their namespace's.
	NamespacePath = "/inject/namespace"
)

const (
	// maxReview is the largest review that is read: the API server takes objects of
	// 3 MiB, and a review holds one.
	maxReview = 4 << 20
	// maxInFlight bounds the memory that reviews take at once.
	maxInFlight = 32
)

// Outcome is what became of a review, for metrics.
type Outcome string

// The outcomes.
const (
	Injected  Outcome = "injected"
	Untouched Outcome = "untouched"
	Refused   Outcome = "refused"
	Failed    Outcome = "failed"
)

// Injector answers reviews.
type Injector struct {
	options   inject.Options
	namespace string
	log       *slog.Logger
	observe   func(Outcome)
	slots     chan struct{}
}

// NewInjector answers with these options. Pods in its own namespace are never
// changed: they might be the ones it needs to come up itself.
func NewInjector(o inject.Options, namespace string, log *slog.Logger, observe func(Outcome)) *Injector {
	return &Injector{options: o, namespace: namespace, log: log, observe: observe, slots: make(chan struct{}, maxInFlight)}
}

// Handler serves the two paths, and nothing else.
func (i *Injector) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+PodPath, func(w http.ResponseWriter, r *http.Request) { i.serve(w, r, false) })
	mux.HandleFunc("POST "+NamespacePath, func(w http.ResponseWriter, r *http.Request) { i.serve(w, r, true) })
	return mux
}

func (i *Injector) serve(w http.ResponseWriter, r *http.Request, namespace bool) {
	select {
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
	default:
		i.fail(w, http.StatusServiceUnavailable, "too many reviews at once", nil)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			i.fail(w, http.StatusInternalServerError, "internal error", fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		i.fail(w, http.StatusUnsupportedMediaType, "send application/json", nil)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			i.fail(w, http.StatusRequestEntityTooLarge, "the review is too large", err)
		} else {
			i.fail(w, http.StatusBadRequest, "the review could not be read", err)
		}
		return
	}
	review, err := decodeReview(body)
	if err != nil {
		i.fail(w, http.StatusBadRequest, "this is no AdmissionReview of admission.k8s.io/v1", err)
		return
	}
	answer, outcome := i.answer(review, namespace)
	i.observe(outcome)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a client that has gone is nobody's error
}

// fail answers a call that could not be understood or served. The API server takes
// it as the webhook's failure, to be judged by failurePolicy.
func (i *Injector) fail(w http.ResponseWriter, code int, say string, err error) {
	i.observe(Failed)
	i.log.Error("review failed", "status", code, "answer", say, "error", err)
	http.Error(w, say, code)
}

// answer judges one review.
func (i *Injector) answer(r *review, namespace bool) (*review, Outcome) {
	log := i.log.With("uid", r.Request.UID, "namespace", r.Request.Namespace, "dry_run", r.Request.DryRun)
	if !i.concerns(r.Request) {
		return r.allow(), Untouched
	}
	var pod inject.Object
	if err := unmarshal(r.Request.Object, &pod); err != nil || pod == nil {
		log.Error("review failed", "error", fmt.Errorf("the pod can't be read: %w", err))
		return r.deny(http.StatusBadRequest, "the pod can't be read"), Failed
	}
	if inject.Declined(pod) || !namespace && !inject.Asked(pod) {
		return r.allow(), Untouched
	}
	name := podName(pod)
	changed, notes, err := inject.Pod(pod, i.options)
	switch {
	case errors.Is(err, inject.ErrRefused):
		log.Warn("pod refused", "pod", name, "error", err)
		return r.deny(http.StatusUnprocessableEntity, err.Error()), Refused
	case err != nil:
		log.Error("review failed", "pod", name, "error", err)
		return r.deny(http.StatusInternalServerError, "internal error"), Failed
	case same(pod, changed):
		return r.allow(), Untouched
	}
	patch, err := patchOf(changed)
	if err != nil {
		log.Error("review failed", "pod", name, "error", err)
		return r.deny(http.StatusInternalServerError, "internal error"), Failed
	}
	log.Info("pod injected", "pod", name)
	return r.patch(patch, notes), Injected
}

// concerns reports whether it is a new pod, and not one of ours.
func (i *Injector) concerns(r *request) bool {
	return r.Operation == "CREATE" && r.SubResource == "" &&
		r.Resource.Group == "" && r.Resource.Version == "v1" && r.Resource.Resource == "pods" &&
		r.Namespace != i.namespace
}

// podName is the pod's name, or what the API server will make one of.
func podName(pod inject.Object) string {
	meta, _ := pod["metadata"].(inject.Object)
	if name, _ := meta["name"].(string); name != "" {
		return name
	}
	name, _ := meta["generateName"].(string)
	return name + "…"
}

// same compares as JSON: a number read is of another type than a number made.
func same(a, b inject.Object) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
