package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"authz/internal/policy"
	"authz/schemas"

	"github.com/spf13/cobra"
)

func inputCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "input [flags] -- curl …",
		Short: "Print the input document that a policy would see for a curl line",
		Long: `Print the input document that a policy would see for a curl line, as JSON. Nothing is
sent: the line becomes the check that Envoy would make of it, and is read by the code
that reads checks. With policies (--config or --policy.paths) it says which route it
matches.

No token is needed: --as, --roles, --scopes and --claims say what a verified token
would have said. A token in the line itself is not verified, and counts as invalid.

--schema prints the JSON Schema of the document, for editors and for
opa check --schema.

Exit codes: 0 printed, 1 could not run, 2 the request would be refused unread
(strict mode), 3 the policies do not compile.`,
		Example: `  authz input -- curl 'https://api.example.com/orders?page=2'
  authz input --as alice --roles clerk -- curl --json '{"item": "pen"}' https://api.example.com/orders
  authz input --config authz.yaml --as alice --claims '{"tenant": "7"}' -- curl https://api.example.com/orders
  authz input -- curl https://api.example.com/ | opa eval -d policies -I data.authz.decision
  authz input --schema > input.schema.json`,
	}
	curlArgs(cmd)
	config := offlineFlags(cmd)
	who, at := callerFlags(cmd), edgeFlags(cmd)
	schema := cmd.Flags().Bool("schema", false, "print the JSON Schema of the input document")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *schema {
			if len(args) > 0 {
				return fmt.Errorf("--schema: goes without a curl line")
			}
			_, err := cmd.OutOrStdout().Write(schemas.Input)
			return err
		}
		return showInput(cmd, args, config, who, at)
	}
	return cmd
}

func showInput(cmd *cobra.Command, args []string, config func() (*Config, faults), who *caller, at *edge) error {
	words, err := curlWords(cmd, args)
	if err == nil {
		err = at.check()
	}
	if err != nil {
		return err
	}
	c, found := config()
	// Without policies the document lacks only its route.
	bare := len(c.Policy.Paths) == 0
	if bare {
		found = slices.DeleteFunc(found, func(f fault) bool { return f.Key == "policy.paths" })
	}
	if len(found) > 0 {
		return found
	}
	r, err := at.fromCurl(c, words, cmd.InOrStdin())
	if err != nil {
		return err
	}
	s, err := by(cmd.Context(), c, r, who)
	if err != nil {
		return err
	}
	if r.Fault != nil {
		return &exitError{code: exitFindings, err: fmt.Errorf("no policy would see this request: it is refused with 400, %w", r.Fault)}
	}
	var document json.RawMessage
	if bare {
		document, err = policy.Document(s.request, s.token, nil)
	} else {
		engine, loading := loadEngine(cmd.Context(), c)
		if loading != nil {
			return loading
		}
		document, err = engine.Document(s.request, s.token)
	}
	if err != nil {
		return err
	}
	for _, note := range s.notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note)
	}
	return printIndented(cmd.OutOrStdout(), document)
}

func printIndented(w io.Writer, document json.RawMessage) error {
	var out bytes.Buffer
	if err := json.Indent(&out, document, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(w)
	return err
}
