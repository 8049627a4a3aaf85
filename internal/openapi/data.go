package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The library's words (docs/policies/config.md): what a row of the route table is
// called, what a schema may say. Everything that depends on them is in this file.
const (
	keyMethods       = "methods"
	keyPath          = "path"
	keyTitle         = "title"
	keyPublic        = "public"
	keyAuthenticated = "authenticated"
	keyScopes        = "scopes"
	keyRoles         = "roles"
	keyParams        = "params"
	keyQuery         = "query"
	keyHeaders       = "headers"
	keyBody          = "body"
	keyLimits        = "limits"
	keyContentTypes  = "content_types"
	keyBodyRequired  = "body_required"
)

// tablePath is where the route table lies in the data.
var tablePath = []string{"authz", "config", "routes"}

var (
	// formats that the library checks.
	formats = []string{
		"date", "date-time", "time", "email", "idn-email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "uuid",
	}
	// formats that say nothing of which values there may be.
	silentFormats = []string{"int64", "float", "double", "password", "binary"}
	// formats that can be said with other keywords.
	writtenFormats = map[string]map[string]any{
		"int32": {"minimum": json.Number("-2147483648"), "maximum": json.Number("2147483647")},
		"byte":  {"pattern": `^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`},
	}
)

func (c *conversion) format(p place, out map[string]any) {
	name := p.at("format").text()
	written, known := writtenFormats[name]
	switch {
	case name == "" || slices.Contains(silentFormats, name):
	case slices.Contains(formats, name):
		out["format"] = name
	case known:
		for key, value := range written {
			if _, given := out[key]; !given && (key == "pattern" || out[exclusives[key]] == nil) {
				out[key] = value
			}
		}
	default:
		c.lose("format", p.at("format"), "the format %q is not checked", name)
	}
}

var exclusives = map[string]string{"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}

// row is a route as the library has it.
func (r Route) row() map[string]any {
	row := map[string]any{keyMethods: []any{r.Method}, keyPath: r.Path}
	if r.Title != "" {
		row[keyTitle] = r.Title
	}
	if r.Public {
		row[keyPublic] = true
	}
	if r.Authenticated {
		row[keyAuthenticated] = true
	}
	for key, list := range map[string][]string{keyScopes: r.Scopes, keyRoles: r.Roles} {
		if len(list) > 0 {
			row[key] = anys(list)
		}
	}
	for key, schema := range map[string]map[string]any{keyParams: r.Params, keyQuery: r.Query, keyHeaders: r.Headers} {
		if schema != nil {
			row[key] = schema
		}
	}
	if r.Body == nil {
		row[keyBody] = false // there is none, so none is let through
	} else {
		if r.Body.Schema != nil {
			row[keyBody] = r.Body.Schema
		}
		if len(r.Body.ContentTypes) > 0 {
			limits := map[string]any{keyContentTypes: anys(r.Body.ContentTypes)}
			if !r.Body.Required {
				limits[keyBodyRequired] = false
			}
			row[keyLimits] = limits
		}
	}
	return row
}

// mountPath is what of the table's path is not said by the folder that the data
// will lie in.
func mountPath(mount string) ([]string, error) {
	names := strings.Split(mount, "/")
	if mount == "" {
		names = nil
	}
	if len(names) > len(tablePath) || !slices.Equal(names, tablePath[:len(names)]) {
		return nil, fmt.Errorf("mount: %q is not on the way to %s", mount, strings.Join(tablePath, "/"))
	}
	return tablePath[len(names):], nil
}

// Data is the policy data, of plain values.
func (i *Import) Data() map[string]any {
	rows := map[string]any{}
	for _, r := range i.Routes {
		rows[r.ID] = r.row()
	}
	for _, name := range slices.Backward(i.mount) {
		rows = map[string]any{name: rows}
	}
	return rows
}

// YAML is the policy data as a data.yaml. The same document gives the same text.
func (i *Import) YAML() ([]byte, error) {
	node := yamlNode(i.Data())
	node.HeadComment = fmt.Sprintf("From %s (OpenAPI %s) by `authz import`. Roles, quotas and what else the\ndocument cannot say go into a data file of their own: it is laid over this one.", i.Report.Document, i.Report.Version)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(node); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// first are the keys that a reader looks for, in order; the others follow.
var first = []string{
	keyTitle, keyMethods, keyPath, keyPublic, keyAuthenticated, keyScopes, keyRoles, keyParams, keyQuery, keyHeaders, keyLimits, keyBody,
	"$ref", "type", "format", "required", "properties",
}

func yamlNode(v any) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		node := &yaml.Node{Kind: yaml.MappingNode}
		keys := slices.SortedFunc(maps.Keys(v), compareKeys)
		for _, key := range keys {
			node.Content = append(node.Content, yamlText(key), yamlNode(v[key]))
		}
		return node
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			node.Content = append(node.Content, yamlNode(item))
		}
		if len(v) <= 8 && !slices.ContainsFunc(node.Content, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode }) {
			node.Style = yaml.FlowStyle
		}
		return node
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(string(v), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: string(v)}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}
	case string:
		return yamlText(v)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

// yamlText lets the YAML library decide where text needs quotes.
func yamlText(s string) *yaml.Node {
	var node yaml.Node
	node.SetString(s)
	return &node
}

func compareKeys(a, b string) int {
	rank := func(key string) int {
		if i := slices.Index(first, key); i >= 0 {
			return i
		}
		return len(first)
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
