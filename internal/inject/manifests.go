package inject

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// Manifests returns a stream of YAML or JSON documents with the sidecars in every
// pod. A document in which nothing changes comes back octet for octet; in the
// others the lines that don't change do, where that can be told.
func Manifests(text []byte, o Options) ([]byte, []string, error) {
	return eachDocument(text, func(pod Object) (Object, []string, error) { return Pod(pod, o) })
}

// RemoveFrom returns the stream without the sidecars.
func RemoveFrom(text []byte) ([]byte, error) {
	out, _, err := eachDocument(text, func(pod Object) (Object, []string, error) {
		pod, err := Remove(pod)
		return pod, nil, err
	})
	return out, err
}

func eachDocument(text []byte, do change) (out []byte, notes []string, err error) {
	var errs []error
	for i, doc := range documents(text) {
		changed, n, err := oneDocument(doc, do)
		if err != nil {
			errs = append(errs, fmt.Errorf("document %d: %w", i+1, err))
			continue
		}
		out = append(out, changed...)
		notes = append(notes, n...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return out, notes, nil
}

// documents cuts the text before each line that begins a document.
func documents(text []byte) [][]byte {
	var docs [][]byte
	begin, at := 0, 0
	for line := range bytes.Lines(text) {
		if at > begin && isMarker(line) && len(bytes.TrimSpace(text[begin:at])) > 0 {
			docs = append(docs, text[begin:at])
			begin = at
		}
		at += len(line)
	}
	return append(docs, text[begin:])
}

func isMarker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0])))
}

func oneDocument(text []byte, do change) ([]byte, []string, error) {
	var root, next yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("it is no YAML: %w", err)
	}
	if err := d.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("something follows the document: begin each with a line ---")
	}
	if len(root.Content) == 0 {
		return text, nil, nil // comments only
	}
	var before Object
	if err := root.Decode(&before); err != nil {
		return nil, nil, fmt.Errorf("it is no Kubernetes object: %w", err)
	}
	after, notes, err := eachPod(before, do)
	if err != nil {
		return nil, nil, err
	}
	if reflect.DeepEqual(before, after) {
		return text, notes, nil
	}
	if first := bytes.TrimLeft(text, " \t\r\n"); first[0] == '{' {
		out, err := json.MarshalIndent(after, "", "    ") // as kubectl writes it
		return append(out, '\n'), notes, err
	}
	out, err := rewrite(text, &root, before, after)
	return out, notes, err
}

// rewrite makes the document that holds after out of the one that held before.
func rewrite(text []byte, root *yaml.Node, before, after Object) ([]byte, error) {
	if hasAlias(root) {
		expand(root.Content[0])
	}
	style := layoutOf(root.Content[0])
	style.marked = isMarker(bytes.SplitAfterN(text, []byte("\n"), 2)[0])
	old, err := style.encode(root)
	if err != nil {
		return nil, err
	}
	update(root.Content[0], before, after)
	out, err := style.encode(root)
	if err != nil {
		return nil, err
	}
	// What is to be applied is what was meant, whatever it looks like.
	if spliced, ok := splice(text, old, out); ok && says(spliced, after) {
		return spliced, nil
	}
	if !says(out, after) {
		return nil, errors.New("the document can't be written as it was meant: this is a fault of authz; give it as JSON")
	}
	return out, nil
}

// says reports whether the text holds the object.
func says(text []byte, o Object) bool {
	var read Object
	return yaml.Unmarshal(text, &read) == nil && reflect.DeepEqual(read, o)
}

// encode writes a document.
func (l layout) encode(root *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	if l.marked {
		out.WriteString("---\n")
	}
	e := yaml.NewEncoder(&out)
	e.SetIndent(l.indent)
	if l.compact {
		e.CompactSeqIndent()
	}
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return out.Bytes(), nil
}
