package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"authz/internal/inject"
)

// review is an AdmissionReview of admission.k8s.io/v1: the parts that are read and
// written.
type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID      string `json:"uid"`
	Resource struct {
		Group    string `json:"group"`
		Version  string `json:"version"`
		Resource string `json:"resource"`
	} `json:"resource"`
	SubResource string          `json:"subResource"`
	Namespace   string          `json:"namespace"`
	Operation   string          `json:"operation"`
	DryRun      bool            `json:"dryRun"`
	Object      json.RawMessage `json:"object"`
}

type response struct {
	UID       string   `json:"uid"`
	Allowed   bool     `json:"allowed"`
	Status    *verdict `json:"status,omitempty"`
	PatchType string   `json:"patchType,omitempty"`
	// Patch is in base64, as []byte is in JSON.
	Patch    []byte   `json:"patch,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

type verdict struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// decodeReview reads a review with a request in it.
func decodeReview(body []byte) (*review, error) {
	var r review
	if err := unmarshal(body, &r); err != nil {
		return nil, err
	}
	if r.APIVersion != "admission.k8s.io/v1" || r.Kind != "AdmissionReview" {
		return nil, fmt.Errorf("it is %q of %q", r.Kind, r.APIVersion)
	}
	if r.Request == nil || r.Request.UID == "" {
		return nil, errors.New("there is no request, or none with a uid")
	}
	return &r, nil
}

// unmarshal keeps numbers as they were written, and takes one value only.
func unmarshal(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

func (r *review) respond(a response) *review {
	a.UID = r.Request.UID
	return &review{APIVersion: r.APIVersion, Kind: r.Kind, Response: &a}
}

func (r *review) allow() *review { return r.respond(response{Allowed: true}) }

func (r *review) deny(code int, message string) *review {
	return r.respond(response{Status: &verdict{Code: code, Message: message}})
}

// maxWarning is where the API server may cut a warning.
const maxWarning = 256

func (r *review) patch(patch []byte, notes []string) *review {
	for i, note := range notes {
		notes[i] = "authz: " + note
		if len(notes[i]) > maxWarning {
			notes[i] = notes[i][:maxWarning]
		}
	}
	return r.respond(response{Allowed: true, PatchType: "JSONPatch", Patch: patch, Warnings: notes})
}

// patchOf replaces what injecting changes: the spec, the annotations, the labels.
func patchOf(pod inject.Object) ([]byte, error) {
	meta, ok := pod["metadata"].(inject.Object)
	if !ok {
		return nil, errors.New("the pod has no metadata")
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	return json.Marshal([]operation{
		{"replace", "/spec", pod["spec"]},
		{"add", "/metadata/annotations", meta["annotations"]},
		{"add", "/metadata/labels", meta["labels"]},
	})
}

// Health answers GET /livez and /readyz: ready when there is a certificate.
func Health(ready func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "no certificate yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}
