// Package lintenvoy answers one question about somebody's Envoy configuration: which
// of its settings open a way around the sidecar, or make the sidecar judge another
// request than the one that the app gets?
//
// It reads a whole bootstrap, a part of one (a listener, a filter, an xDS answer) or a
// Kubernetes ConfigMap that holds one, as YAML or JSON, in the spelling of either
// (failure_mode_allow, failureModeAllow). It judges what is written there and what
// Envoy 1.40 does where nothing is written. It does not say whether Envoy would load
// the file (`envoy --mode validate` does), and it knows no more than the file: routes
// and clusters that come by xDS are not seen.
//
// Codes are stable: a code never changes its meaning and is not used again. Each has a
// row in docs/lint-envoy.md, which a test holds to the table in rules.go.
package lintenvoy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Severity says how bad a finding is.
type Severity string

// The severities, worst first.
const (
	Error   Severity = "error"   // requests get around the check, or are judged wrongly
	Warning Severity = "warning" // a second fault, or an attacker's patience, makes it a hole
	Info    Severity = "info"    // gives something away
)

// Finding is one setting, or the lack of one, that opens a hole.
type Finding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Path     string   `json:"path"` // where in the file: listeners[0].…; of a missing key, where it belongs
	Line     int      `json:"line"`
	Message  string   `json:"message"` // what happens
	Fix      string   `json:"fix"`     // what to write
	Link     string   `json:"link"`
}

// Lint names what it finds, in the order of the file. An error means that the file
// could not be judged: it is no YAML, or holds nothing of Envoy.
func Lint(text []byte) ([]Finding, error) {
	l := &linter{findings: []Finding{}}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading YAML: %w", err)
		}
		if err := l.document(node{yaml: &document}); err != nil {
			return nil, fmt.Errorf("reading YAML: %w", err)
		}
	}
	if !l.judged {
		return nil, errors.New("nothing of Envoy in it: no HttpConnectionManager, no ext_authz filter, no admin interface")
	}
	sort.SliceStable(l.findings, func(i, j int) bool {
		a, b := &l.findings[i], &l.findings[j]
		return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Code, b.Code)) < 0
	})
	return l.findings, nil
}

// linter collects what the rules find.
type linter struct {
	findings []Finding
	judged   bool                // something of Envoy was there
	clusters map[string]node     // by name, of the document at hand
	asked    map[string]struct{} // names of the clusters that are asked for checks
}

// document judges one YAML document.
func (l *linter) document(root node) error {
	if err := root.yaml.Decode(new(any)); err != nil {
		return err // an alias that holds itself, or that unfolds without end
	}
	root = root.resolve()
	if kind := root.at("kind").text(); kind == "ConfigMap" || kind == "Secret" {
		return l.configMap(root)
	}
	l.clusters, l.asked = map[string]node{}, map[string]struct{}{}
	root.walk(func(n node) {
		if n.at("load_assignment").ok() || n.at("typed_extension_protocol_options").ok() {
			l.clusters[n.at("name").text()] = n
		}
	})
	l.bootstrap(root)
	root.walk(func(n node) {
		switch n.typeName() {
		case "HttpConnectionManager":
			l.connectionManager(n)
		case "ExtAuthz":
			if isHTTPFilter(n) {
				l.extAuthz(n)
			}
		case "ExtAuthzPerRoute":
			l.perRoute(n)
		}
		l.perFilterConfig(n)
	})
	for name := range l.asked {
		if c, ok := l.clusters[name]; ok {
			l.authzCluster(c)
		}
	}
	return nil
}

// configMap judges every value of a Kubernetes ConfigMap that is an Envoy
// configuration. Lines are those of the outer file.
func (l *linter) configMap(root node) error {
	for _, section := range []string{"data", "stringData"} {
		for _, value := range root.at(section).entries() {
			var document yaml.Node
			if yaml.Unmarshal([]byte(value.text()), &document) != nil || document.Kind == 0 {
				continue // some other file
			}
			inner := node{yaml: &document, path: value.path + " › ", offset: value.line()}
			if value.yaml.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
				inner.offset-- // it begins on the key's own line
			}
			if err := l.document(inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// report adds a finding about the key of parent; of a key that is not there, it names
// the parent's line. The message is the rule's, unless another one is given.
func (l *linter) report(code string, parent node, key string, message ...string) {
	rule := rules[code]
	f := Finding{Code: code, Severity: rule.severity, Path: parent.path, Line: parent.line(),
		Message: rule.message, Fix: rule.fix, Link: "docs/lint-envoy.md#" + strings.ToLower(code)}
	if key != "" {
		child := parent.at(key)
		if f.Path = child.path; child.ok() {
			f.Line = child.line()
		}
	}
	if len(message) > 0 {
		f.Message = message[0]
	}
	l.findings = append(l.findings, f)
}
