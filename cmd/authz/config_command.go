package main

import (
	_ "embed"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed example.yaml
var exampleConfig string

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "The configuration's JSON Schema, reference and example",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "schema",
			Short: "Print the JSON Schema of the configuration, for editors",
			Long: `Print the JSON Schema of the configuration file. With the YAML language server,
save it and begin your file with
  # yaml-language-server: $schema=authz.schema.json`,
			Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return printJSON(cmd.OutOrStdout(), configSchema()) },
		},
		&cobra.Command{
			Use:   "reference",
			Short: "Print every key with its meaning, default, flag and environment variable, as Markdown",
			Args:  cobra.NoArgs,
			Run:   func(cmd *cobra.Command, _ []string) { writeReference(cmd.OutOrStdout()) },
		},
		&cobra.Command{
			Use:   "example",
			Short: "Print a commented configuration to start from",
			Args:  cobra.NoArgs,
			Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), exampleConfig) },
		},
	)
	return cmd
}

// configSchema is the JSON Schema (2020-12) of the configuration file.
func configSchema() map[string]any {
	schema := objectSchema(reflect.TypeFor[Config]())
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "authz configuration"
	return schema
}

func objectSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	for _, f := range fields(reflect.New(t).Elem(), "") {
		s := valueSchema(f)
		s["description"] = f.doc
		properties[f.name] = s
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func valueSchema(f field) map[string]any {
	t := f.value.Type()
	switch t {
	case reflect.TypeFor[Duration]():
		return withDefault(map[string]any{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`}, f.def)
	case reflect.TypeFor[Size]():
		return withDefault(map[string]any{"type": []string{"string", "integer"}, "pattern": `^[0-9]+ *(KiB|MiB|GiB)?$`, "minimum": 0}, f.def)
	case reflect.TypeFor[Mode]():
		return withDefault(map[string]any{"type": []string{"string", "integer"}, "pattern": `^0?[0-7]{3}$`}, f.def)
	case reflect.TypeFor[Secret]():
		return map[string]any{"type": "string", "pattern": `^(env|file):.+`}
	}
	switch t.Kind() {
	case reflect.Struct:
		return objectSchema(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return map[string]any{"type": "array", "items": objectSchema(t.Elem())}
		}
		s := map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
		if f.def != "" {
			s["default"] = strings.Split(f.def, ",")
		}
		return s
	case reflect.Bool:
		return map[string]any{"type": "boolean", "default": f.def == "true"}
	case reflect.Int:
		s := map[string]any{"type": "integer"}
		v := reflect.New(t).Elem()
		if f.def != "" && set(v, f.def) == nil {
			s["default"] = v.Int()
		}
		return s
	}
	return withDefault(map[string]any{"type": "string"}, f.def)
}

func withDefault(schema map[string]any, def string) map[string]any {
	if def != "" {
		schema["default"] = def
	}
	return schema
}

// writeReference prints docs/configuration.md.
func writeReference(w io.Writer) {
	fmt.Fprint(w, `# Configuration

One YAML file (`+"`--config` or `AUTHZ_CONFIG`"+`). A flag overrides the environment, which overrides the file, which
overrides the default. An unknown key is an error, and all errors are told at once. Durations are written `+"`250ms`, `5s`, `1h`"+`;
sizes `+"`8KiB`, `64MiB`"+`; lists in flags and variables with commas. Secrets are only ever `+"`env:NAME` or `file:PATH`"+`.

This page is the output of `+"`authz config reference`; `authz config schema`"+` prints the same as JSON Schema for editors and
`+"`authz config example`"+` a file to start from.
`)
	writeSection(w, "", "", reflect.ValueOf(new(Config)).Elem(), true)
}

func writeSection(w io.Writer, prefix, doc string, v reflect.Value, overridable bool) {
	var rows, sections []field
	for _, f := range fields(v, prefix) {
		if isLeaf(f.value.Type()) {
			rows = append(rows, f)
		} else {
			sections = append(sections, f)
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n| key | meaning | default | %s\n|---|---|---|%s\n", strings.TrimSuffix(prefix, "."), doc,
			map[bool]string{true: "variable |", false: ""}[overridable], map[bool]string{true: "---|", false: ""}[overridable])
		for _, f := range rows {
			def := ""
			if f.def != "" {
				def = "`" + f.def + "`"
			}
			fmt.Fprintf(w, "| `%s` | %s | %s |", f.name, strings.ReplaceAll(f.doc, "|", "\\|"), def)
			if overridable {
				fmt.Fprintf(w, " `%s` |", environmentName(f.key))
			}
			fmt.Fprintln(w)
		}
	}
	for _, f := range sections {
		if f.value.Kind() == reflect.Slice {
			writeSection(w, f.key+"[].", f.doc, reflect.New(f.value.Type().Elem()).Elem(), false)
		} else {
			writeSection(w, f.key+".", f.doc, f.value, overridable)
		}
	}
}
