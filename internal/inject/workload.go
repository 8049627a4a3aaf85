package inject

import (
	"errors"
	"fmt"
	"strings"
)

// templates says where a pod is in each kind that has one.
var templates = map[string][]string{
	"v1/Pod":                   {},
	"v1/PodTemplate":           {"template"},
	"v1/ReplicationController": {"spec", "template"},
	"apps/Deployment":          {"spec", "template"},
	"apps/StatefulSet":         {"spec", "template"},
	"apps/DaemonSet":           {"spec", "template"},
	"apps/ReplicaSet":          {"spec", "template"},
	"batch/Job":                {"spec", "template"},
	"batch/CronJob":            {"spec", "jobTemplate", "spec", "template"},
}

// kindOf is group/Kind, or v1/Kind for the core group.
func kindOf(o Object) string {
	group, _, grouped := strings.Cut(textAt(o, "apiVersion"), "/")
	if !grouped {
		group = "v1"
	}
	return group + "/" + textAt(o, "kind")
}

// title is what people call an object: Deployment shop/web.
func title(o Object) string {
	meta := object(o["metadata"])
	name := textAt(meta, "name")
	if name == "" {
		name = textAt(meta, "generateName")
	}
	if ns := textAt(meta, "namespace"); ns != "" {
		name = ns + "/" + name
	}
	return strings.TrimSpace(textAt(o, "kind") + " " + name)
}

// change is what is done to every pod: Pod or Remove.
type change func(pod Object) (Object, []string, error)

// eachPod returns the manifest with the change made to every pod in it. All
// refusals are told at once.
func eachPod(manifest Object, do change) (Object, []string, error) {
	if items, ok := manifest["items"].([]any); ok && strings.HasSuffix(textAt(manifest, "kind"), "List") {
		return eachItem(manifest, items, do)
	}
	path, known := templates[kindOf(manifest)]
	if !known {
		var notes []string
		if object(object(object(manifest["spec"])["template"])["spec"])["containers"] != nil {
			notes = []string{fmt.Sprintf("%s: %s is not known here, so it is left alone; the webhook injects its pods", title(manifest), kindOf(manifest))}
		}
		return manifest, notes, nil
	}
	pod := manifest
	for _, step := range path {
		pod = object(pod[step])
	}
	if pod == nil {
		return nil, nil, fmt.Errorf("%s: %w", title(manifest), refuse("it has no pod template at %s", strings.Join(path, ".")))
	}
	if Declined(pod) {
		return manifest, []string{fmt.Sprintf("%s: left alone: label %s is \"false\"", title(manifest), InjectLabel)}, nil
	}
	changed, notes, err := do(pod)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", title(manifest), err)
	}
	for i := range notes {
		notes[i] = title(manifest) + ": " + notes[i]
	}
	return with(manifest, path, changed), notes, nil
}

func eachItem(list Object, items []any, do change) (Object, []string, error) {
	var notes []string
	var errs []error
	changed := make([]any, len(items))
	for i, item := range items {
		changed[i] = item
		o := object(item)
		if o == nil {
			continue
		}
		// In a DeploymentList the items need not say what they are.
		silent := o["kind"] == nil && o["apiVersion"] == nil && textAt(list, "kind") != "List"
		if silent {
			o = with(o, nil, o)
			o["kind"] = strings.TrimSuffix(textAt(list, "kind"), "List")
			o["apiVersion"] = list["apiVersion"]
		}
		out, n, err := eachPod(o, do)
		notes = append(notes, n...)
		errs = append(errs, err)
		if err == nil {
			if silent {
				delete(out, "kind")
				delete(out, "apiVersion")
			}
			changed[i] = out
		}
	}
	return with(list, []string{"items"}, changed), notes, errors.Join(errs...)
}

// with is a copy of o with v at the path; what the path does not touch is shared.
func with(o Object, path []string, v any) Object {
	if len(path) == 0 {
		out := Object{}
		for k, v := range object(v) {
			out[k] = v
		}
		return out
	}
	out := with(nil, nil, o)
	if len(path) == 1 {
		out[path[0]] = v
	} else {
		out[path[0]] = with(object(o[path[0]]), path[1:], v)
	}
	return out
}
