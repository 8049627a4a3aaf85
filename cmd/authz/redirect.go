package main

import (
	"fmt"
	"strconv"
	"strings"

	"authz/internal/redirect"

	"github.com/spf13/cobra"
)

func redirectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redirect FROM=TO ...",
		Short: "Have the kernel give what arrives for the app's port to Envoy",
		Long: `Have the kernel give what arrives from outside for the app's port to Envoy's, in the
network namespace this runs in. Connections over loopback are left alone. Needs the
capability NET_ADMIN. In pods with authz.dev/capture: redirect, the init container
authz-redirect runs it.`,
		Example: "  authz redirect 8080=9900",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var ports []redirect.Port
			for _, arg := range args {
				from, to, _ := strings.Cut(arg, "=")
				a, err := strconv.ParseUint(from, 10, 16)
				b, err2 := strconv.ParseUint(to, 10, 16)
				if err != nil || err2 != nil || a == 0 || b == 0 || a == b {
					return fmt.Errorf("%q: write the app's port and Envoy's, such as 8080=9900", arg)
				}
				ports = append(ports, redirect.Port{From: uint16(a), To: uint16(b)})
			}
			return redirect.Set(ports...)
		},
	}
	return cmd
}
