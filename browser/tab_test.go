package browser

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// tab is a page in a profile of its own: no cookies, no cache, nothing remembered.
type tab struct {
	*testing.T
	ctx context.Context

	mu    sync.Mutex
	hops  []hop                        // what navigations were answered, redirects included
	asked map[network.RequestID]string // method and URL
	wires map[string]chan int64        // by method and URL: statuses as they came over the wire
	fails map[string]chan string       // by method and URL: what the browser gave up with
}

// hop is one answer to a request of the page's document.
type hop struct {
	URL      string
	Status   int64
	Location string
}

func open(t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(world.browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p := &tab{T: t, ctx: ctx, asked: map[network.RequestID]string{}, wires: map[string]chan int64{}, fails: map[string]chan string{}}
	if err := chromedp.Listen(ctx, p.note); err != nil {
		t.Fatal(err)
	}
	if url != "" {
		p.visit(url)
	}
	return p
}

// note keeps the answers to the page's own navigations.
func (p *tab) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.asked[e.RequestID] = e.Request.Method + " " + e.Request.URL
		if r := e.RedirectResponse; r != nil && e.Type == network.ResourceTypeDocument {
			p.hops = append(p.hops, hop{r.URL, r.Status, header(r.Headers, "location")})
		}
	case *network.EventResponseReceivedExtraInfo:
		if wire := p.wires[p.asked[e.RequestID]]; wire != nil {
			offer(wire, e.StatusCode)
		}
	case *network.EventLoadingFailed:
		if fail := p.fails[p.asked[e.RequestID]]; fail != nil {
			offer(fail, e.ErrorText)
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			p.hops = append(p.hops, hop{e.Response.URL, e.Response.Status, header(e.Response.Headers, "location")})
		}
	}
}

// answers is what the navigations were answered so far.
func (p *tab) answers() []hop {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.hops)
}

// wire listens for the answer to a request and returns a function that waits for its
// status, which the browser reports also where the page may not know.
func (p *tab) wire(method, url string) func() int64 {
	answered := make(chan int64, 1)
	p.mu.Lock()
	p.wires[method+" "+url] = answered
	p.mu.Unlock()
	return func() int64 {
		p.Helper()
		return receive(p, answered, "answer to "+method+" "+url)
	}
}

// failure listens for the browser giving up a request, and returns a function that
// waits for its reason.
func (p *tab) failure(method, url string) func() string {
	failed := make(chan string, 1)
	p.mu.Lock()
	p.fails[method+" "+url] = failed
	p.mu.Unlock()
	return func() string {
		p.Helper()
		return receive(p, failed, "failure of "+method+" "+url)
	}
}

// offer keeps the first value for whoever receives it.
func offer[T any](to chan<- T, v T) {
	select {
	case to <- v:
	default:
	}
}

func receive[T any](p *tab, from <-chan T, what string) (v T) {
	p.Helper()
	select {
	case v = <-from:
	case <-p.step().Done():
		p.Fatalf("there was no %s", what)
	}
	return v
}

// sent says whether the browser has sent a request.
func (p *tab) sent(method, url string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, request := range p.asked {
		if request == method+" "+url {
			return true
		}
	}
	return false
}

func (p *tab) step() context.Context {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	p.Cleanup(cancel)
	return ctx
}

// visit goes to a page and returns the answer that became the document.
func (p *tab) visit(url string) *network.Response {
	p.Helper()
	r, err := chromedp.Run(p.step(), chromedp.NavigateResponse(url))
	if err != nil {
		p.Fatalf("visiting %s: %v", url, err)
	}
	return r
}

// leave runs a script that makes the page go elsewhere, and returns the answer there.
func (p *tab) leave(script string) *network.Response {
	p.Helper()
	r, err := chromedp.RunResponse(p.step(), chromedp.Evaluate[chromedp.Void](script))
	if err != nil {
		p.Fatalf("%s: %v", script, err)
	}
	return r
}

// run evaluates a script in the page, and waits for what it promises.
func run[T any](p *tab, script string) T {
	p.Helper()
	v, err := chromedp.Run(p.step(), chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.Fatalf("%s: %v", script, err)
	}
	return v
}

// before runs a script in every page from now on, before the page's own.
func (p *tab) before(script string) {
	p.Helper()
	if err := chromedp.Do(p.step(), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	})); err != nil {
		p.Fatal(err)
	}
}

// logIn goes through the shop's own page.
func (p *tab) logIn(user string) {
	p.Helper()
	p.visit("https://shop.example.test/login")
	r := p.leave(`document.forms.login.user.value = ` + quote(user) + `; document.forms.login.password.value = 'secret'; document.forms.login.submit()`)
	if r.Status != http.StatusOK || r.URL != "https://shop.example.test/" {
		p.Fatalf("logging in led to %d %s", r.Status, r.URL)
	}
}

// fetched is what a page's script got of a fetch.
type fetched struct {
	Error   string            // the exception's name; the page learns no more
	Status  int               //
	Headers map[string]string // the ones asked for, as far as the page may see them
}

// fetch does it in the page and returns what the page can tell.
func (p *tab) fetch(url string, options map[string]any, headers ...string) fetched {
	p.Helper()
	return run[fetched](p, `fetch(`+quote(url)+`, `+quote(options)+`).then(
		r => ({Status: r.status, Headers: Object.fromEntries(`+quote(append([]string{}, headers...))+`.filter(n => r.headers.has(n)).map(n => [n, r.headers.get(n)]))}),
		e => ({Error: e.name, Headers: {}}))`)
}

func header(headers network.Headers, name string) string {
	for n, v := range headers {
		if strings.EqualFold(n, name) {
			s, _ := v.(string)
			return s
		}
	}
	return ""
}

// quote writes a value as a script does.
func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
