package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"authz/internal/lintenvoy"

	"github.com/spf13/cobra"
)

func lintEnvoyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint-envoy FILE",
		Short: "Name the settings of an Envoy configuration that open a hole",
		Long: `Name the settings of an Envoy configuration that open a hole around the sidecar:
each finding with its code, its place in the file and the way out. FILE is a whole
bootstrap or a part of one in YAML or JSON; - is standard input.

Exit codes: 0 nothing found, 1 could not run, 2 findings.`,
		Example: "  authz lint-envoy envoy.yaml\n  authz lint-envoy -o json envoy.yaml",
		Args:    cobra.ExactArgs(1),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asJSON, err := output()
		if err != nil {
			return err
		}
		text, err := readFileOr(args[0], cmd.InOrStdin())
		if err != nil {
			return err
		}
		findings, err := lintenvoy.Lint(text)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), append([]lintenvoy.Finding{}, findings...)) // [], not null
		} else {
			err = printFindings(cmd.OutOrStdout(), args[0], findings)
		}
		if err == nil && len(findings) > 0 {
			err = &exitError{code: exitFindings}
		}
		return err
	}
	return cmd
}

func readFileOr(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

func printFindings(w io.Writer, file string, findings []lintenvoy.Finding) error {
	if len(findings) == 0 {
		_, err := fmt.Fprintf(w, "%s: nothing found\n", file)
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(table, "%s:%d\t%s\t%s\t%s\n\t\t\tfix: %s\n", file, f.Line, f.Code, f.Severity, f.Message, f.Fix)
	}
	return table.Flush()
}
