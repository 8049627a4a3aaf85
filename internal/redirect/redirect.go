// Package redirect has the kernel give what arrives from outside for one port to
// another: in a pod, what is meant for the app to Envoy. The app itself, Envoy and
// whatever else runs in the pod reach the port as before, over loopback.
//
// The rule lives in an nftables table of its own in the network namespace of the
// process, so it ends with the pod. It takes NET_ADMIN there.
package redirect

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// table is ours alone.
const table = "authz"

// Port is a rule: what arrives for From is given to To.
type Port struct{ From, To uint16 }

// Set makes the rules, in place of those set before. Rules that other programs
// (kube-proxy, a mesh) keep are not touched.
func Set(ports ...Port) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("asking the kernel for nftables: %w", err)
	}
	// Both IP families. To delete what may not be there, add it first: the kernel
	// carries out all of it or nothing.
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: table}
	c.AddTable(t)
	c.DelTable(t)
	c.AddTable(t)
	chain := c.AddChain(&nftables.Chain{
		Name: "inbound", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	for _, p := range ports {
		c.AddRule(rule(t, chain, p))
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("setting the rules that redirect %v (it takes the capability NET_ADMIN): %w", ports, err)
	}
	return nil
}

// rule is: iifname != "lo" tcp dport FROM redirect to :TO.
func rule(t *nftables.Table, chain *nftables.Chain, p Port) *nftables.Rule {
	loopback := make([]byte, unix.IFNAMSIZ)
	copy(loopback, "lo")
	return &nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: loopback},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, p.From)},
		&expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, p.To)},
		&expr.Redir{RegisterProtoMin: 1},
	}}
}
