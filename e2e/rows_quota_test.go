package e2e

import (
	"fmt"
)

func quotasRows() []row {
	var rows []row
	for i := range 3 {
		rows = append(rows, row{name: fmt.Sprintf("log-in %d", i+1), method: "POST", target: "/login", from: "203.0.113.7", want: 200,
			header: map[string]string{"Ratelimit-Policy": `"address";q=1000;w=900, "login.attempts";q=3;w=900`}})
	}
	rows = append(rows,
		row{name: "log-in 4", method: "POST", target: "/login", from: "203.0.113.7", want: 429, header: map[string]string{"X-Frame-Options": "DENY"}},
		row{name: "another address", method: "POST", target: "/login", from: "203.0.113.8", want: 200},
		row{name: "another entry before it in X-Forwarded-For", method: "POST", target: "/login", from: "198.51.100.1, 203.0.113.7", want: 429},
		row{name: "another route", target: "/public", from: "203.0.113.7", want: 200},
	)
	for i := range 3 {
		rows = append(rows, row{name: fmt.Sprintf("IPv6 block, address %d", i+1), method: "POST", target: "/login", from: fmt.Sprintf("2001:db8:1:2::%d", i), want: 200})
	}
	rows = append(rows,
		row{name: "IPv6 block, one more", method: "POST", target: "/login", from: "2001:db8:1:2:ffff::1", want: 429},
		row{name: "another block", method: "POST", target: "/login", from: "2001:db8:1:3::1", want: 200})
	for i := range 6 {
		rows = append(rows, row{name: fmt.Sprintf("a user's %d", i+1), target: "/limited", as: "alice", from: fmt.Sprintf("198.51.100.%d", i), want: 200})
	}
	rows = append(rows,
		row{name: "a user's seventh, wherever from", target: "/limited", as: "alice", from: "198.51.100.99", want: 429},
		row{name: "another user", target: "/limited", as: "bob", want: 200})
	for i := range 8 {
		rows = append(rows, row{name: fmt.Sprintf("the skip list, %d", i+1), target: "/limited", as: "probe", want: 200, header: map[string]string{"Ratelimit": "-"}})
	}
	return rows
}
