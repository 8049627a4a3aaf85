package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"authz/internal/openapi"

	"github.com/spf13/cobra"
)

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Turn an OpenAPI document into policy data",
		Long: `Turn an OpenAPI document (3.0 or 3.1, YAML or JSON) into policy data: the route
table, the schemas of requests, and who may call what. FILE - is standard input.

The data goes to standard output or to a file; a report of everything that could
not be carried over, with its place in the document, goes to standard error. Who
may call an operation is never loosened: where the document asks for what a token
cannot say, the route is closed.

Exit codes: 0 fine, 1 could not run (the document cannot be read or is not valid),
2 something was not carried over (with --strict only).`,
		Example: `  authz import openapi.yaml --to policies/data.yaml
  authz import openapi.yaml --mount authz/config/routes --to policies/authz/config/routes/data.yaml
  authz import openapi.yaml --strict --report json > /dev/null`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	to := flags.String("to", "", "write the data to this file instead of standard output")
	mount := flags.String("mount", "", "folder below the policies that the data will lie in, e.g. authz/config/routes")
	base := flags.String("base-path", "", "path before every route, instead of the servers'")
	tokens := flags.StringSlice("token-scheme", nil, "security scheme that is the verified token although the document cannot say so (a cookie, say)")
	report := flags.String("report", "table", "the report as a table, for people, or as json, for machines")
	strict := flags.Bool("strict", false, "exit with 2 if something was not carried over")
	_ = cmd.RegisterFlagCompletionFunc("report", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *report != "table" && *report != "json" {
			return fmt.Errorf("--report %q: write table or json", *report)
		}
		options := openapi.Options{Mount: *mount, Tokens: *tokens}
		if flags.Changed("base-path") {
			options.BasePath = base
		}
		result, err := importDocument(args[0], cmd.InOrStdin(), options)
		if err != nil {
			return err
		}
		text, err := result.YAML()
		if err != nil {
			return err
		}
		if *to == "" {
			_, err = cmd.OutOrStdout().Write(text)
		} else {
			err = replaceFile(*to, text)
		}
		if err != nil {
			return err
		}
		if *report == "json" {
			err = printJSON(cmd.ErrOrStderr(), result.Report)
		} else {
			err = printImport(cmd.ErrOrStderr(), result.Report)
		}
		if err == nil && *strict && len(result.Report.Losses) > 0 {
			err = &exitError{code: exitFindings}
		}
		return err
	}
	return cmd
}

func importDocument(name string, stdin io.Reader, o openapi.Options) (*openapi.Import, error) {
	if name != "-" {
		return openapi.File(name, o)
	}
	text, err := io.ReadAll(io.LimitReader(stdin, openapi.MaxSize+1))
	if err != nil {
		return nil, err
	}
	return openapi.Text("standard input", text, o)
}

// replaceFile never leaves half a file: a sidecar may be watching. The name begins
// with a dot, so it is no policy file meanwhile. What is no file (/dev/null, a
// pipe) is written to and stays what it is.
func replaceFile(name string, text []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, text, 0o644)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".import-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func printImport(w io.Writer, r openapi.Report) error {
	fmt.Fprintf(w, "%s: OpenAPI %s\n", r.Document, r.Version)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range []struct {
		name string
		openapi.Count
	}{{"operations", r.Operations}, {"parameters", r.Parameters}, {"bodies", r.Bodies}} {
		fmt.Fprintf(table, "  %s\t%d found\t%d carried over\n", line.name, line.Found, line.Carried)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "  access      %d public, %d any token, %d with scopes or roles, %d closed\n",
		r.Access.Public, r.Access.Authenticated, r.Access.Scoped, r.Access.Closed)
	if len(r.Losses) == 0 {
		_, err := fmt.Fprintln(w, "everything was carried over")
		return err
	}
	fmt.Fprintf(w, "not carried over as it is (%d):\n", len(r.Losses))
	for _, loss := range r.Losses {
		if _, err := fmt.Fprintf(w, "  %s %s %s\n      %s\n", loss.Effect, loss.Code, loss.Pointer, loss.Message); err != nil {
			return err
		}
	}
	return nil
}
