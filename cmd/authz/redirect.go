package main

import (
	"fmt"
	"math"

	"authz/internal/redirect"

	"github.com/spf13/cobra"
)

func redirectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redirect",
		Short: "Have the kernel give what arrives for the app's port to Envoy",
		Long: `Have the kernel give what arrives from outside for the app's port to Envoy's, in the
network namespace this runs in. Connections over loopback are left alone. Needs the
capability NET_ADMIN. In pods with authz.dev/capture: redirect, the init container
authz-redirect runs it.`,
		Example: "  authz redirect --from 8080 --to 9900",
		Args:    cobra.NoArgs,
	}
	from := cmd.Flags().Uint16("from", 0, "the app's port")
	to := cmd.Flags().Uint16("to", 0, "Envoy's port")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *from == 0 || *to == 0 || *from == *to {
			return fmt.Errorf("--from and --to: name two ports from 1 to %d", math.MaxUint16)
		}
		return redirect.Set(*from, *to)
	}
	return cmd
}
